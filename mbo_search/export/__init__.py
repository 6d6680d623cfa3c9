"""Export: schedule files, final models, continuations of text."""
