"""Hand out: schedule files, final models, continuations of text."""
