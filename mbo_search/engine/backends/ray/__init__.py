"""The Ray backend: the only door to Ray."""
