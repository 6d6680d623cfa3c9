"""Simulated searches on exhaustive stage tables."""
