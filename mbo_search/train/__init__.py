"""Learn: the staged loop, evaluation, state on disk, and the store of shared beginnings."""
