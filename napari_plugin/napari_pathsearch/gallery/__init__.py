"""The matches as pictures: what is shown, in which order, and how a card looks."""
