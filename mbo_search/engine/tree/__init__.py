"""Planners of a search on a stage tree, in which a cached prefix is free."""
