"""The command that gives advice for the next study, and the study that `run --follow` runs."""
