"""Choices of a stage's further settings, one module each: their parameters, and what is built of chosen values."""
