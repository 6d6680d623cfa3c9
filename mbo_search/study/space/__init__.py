"""The space that a study spans: axes, constraints, the ladder, ablations."""
