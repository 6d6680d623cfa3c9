"""Helpers for tests: toy trainers and studies, finished runs without training, and checks of extensions."""
