"""Trials as values: reports, costs, curves and outcomes that any process can read."""
