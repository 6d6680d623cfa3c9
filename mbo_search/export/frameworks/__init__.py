"""Exports for other people's packages: a model that transformers loads, and scripts that their trainers run."""
