"""A whole installation from a file."""
