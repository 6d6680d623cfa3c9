"""mbo-search: search in which stages, and with which strategy in each, to train a language model.

The package is read in one direction, describe to tell: `study` describes, `data` reads, `model` and `optim`
build, `train` learns, `results` remembers, `search` decides, `report` and `export` tell. Importing it loads
neither torch nor ray, optuna or plotly.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
