"""Doors for other people's trainers: what a script, a loop or a library's trainer needs to train one span."""
