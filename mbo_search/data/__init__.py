"""Read: sources to clean documents, splits, tokens, token files, batches."""
