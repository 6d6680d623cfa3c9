"""A view of a run for optuna-dashboard: all of its trials in one Optuna study, under the names that people use."""
