"""Training: the staged loop, evaluation, states on disk, and the execution of schedules."""
