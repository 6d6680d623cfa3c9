"""Corpora of pairs: rows with columns instead of running text, made from what is installed."""
