"""Sections of a study, each a frozen value, and the values in them."""
