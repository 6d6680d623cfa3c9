"""Advice from finished studies: what their trials say about the next one, and no more than that."""
