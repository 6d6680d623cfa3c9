"""Text on disk while it is prepared, so that memory does not grow with a corpus."""
