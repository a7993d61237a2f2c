"""Asking: regions drawn on slides, the form, and the question they make."""
