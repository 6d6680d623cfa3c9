"""Small studies of the trainer that knows only JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("parabola.py")


def toy(*modes: str, trials: int, runner: dict[str, Any] | None = None, script: Path = SCRIPT) -> dict[str, Any]:
    """A study of two stages whose second one is trained in the given modes."""
    alike = {"optimizer": "sgd_nesterov", "lr": {"relative": [0.5, 1.0, 2.0]}}
    return {
        "study": "toy",
        "runner": {"command": [sys.executable, str(script)], **(runner or {})},
        "budget": {"tokens": 400, "grid": 0.25},
        "train": {"batch_tokens": 10},
        "stages": [
            {"name": "a", "share": 0.5, **alike, "lr": {"relative": 1.0}, "custom": {"mode": "well"}},
            {"name": "b", "share": "rest", **alike, "custom": {"mode": list(modes) or ["well"]}},
        ],
        "search": {"trials": trials, "searcher": "random"},
        "control": 0,
        "baselines": [],
        "resources": {"workers": 1},
    }
