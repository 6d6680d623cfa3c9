"""Learn: the staged loop, evaluation, and states on disk."""
