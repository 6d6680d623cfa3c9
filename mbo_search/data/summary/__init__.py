"""What became of a text, for people."""
