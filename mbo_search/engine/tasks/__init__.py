"""Tasks: one schedule with one seed, as values and as files."""
