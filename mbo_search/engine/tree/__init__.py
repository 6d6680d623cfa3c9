"""The tree searcher: an Optuna sampler that knows that a cached beginning is free."""
