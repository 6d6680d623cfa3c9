"""Remember: records, the run directory, ranking and statistics."""
