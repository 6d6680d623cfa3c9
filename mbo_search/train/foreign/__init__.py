"""Trainers that are not ours: a command, or a function of the user's. One contract for all of them."""
