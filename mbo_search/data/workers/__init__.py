"""Processes that share the work on a large text."""
