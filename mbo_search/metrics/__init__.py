"""Metrics of a task: what a model's answers are worth, and how sure a difference of two models is."""
