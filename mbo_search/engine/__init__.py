"""Decide: which schedule to try next, where to run it, and when to stop."""
