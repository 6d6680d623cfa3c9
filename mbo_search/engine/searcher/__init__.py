"""Searchers: Optuna studies, samplers, initial points, storage."""
