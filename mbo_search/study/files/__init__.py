"""Study and schedule files: YAML to values and back, with positions for every message."""
