"""Report: what a trial gives back, as values that any process can read."""
