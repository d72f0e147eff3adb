"""Ways to tell a person something outside the interface."""
