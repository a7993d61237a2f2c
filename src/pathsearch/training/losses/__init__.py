"""What is trained for; one loss, one file."""
