"""Further settings of a stage, one module each: what they are, when two of them act alike, and their words."""
