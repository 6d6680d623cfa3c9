"""Judge whether a change of somebody's training is real: two commands, seed by seed, stopped when it is clear."""
