"""Numbers of the schedule: the values here only stand in for those of an export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Stage = dict[str, Any]
State = dict[str, Stage]  # of optimizers, by name of the parameter
Way = tuple[str, str]  # from one optimizer to another

DATA = Path(__file__).with_suffix(".data")
DEVICE, THREADS, MICRO_BATCH = "cpu", 1, 8  # others add sums up in another order
SEED = 0  # of the first weights, the order of the text, and noise
VOCABULARY, TOKEN_TYPE = 257, "<u2"
WIDTH, LAYERS, HEADS, MLP_WIDTH = 32, 2, 2, 96
CONTEXT, BATCH_TOKENS = 32, 256

# Of two optimizers the first updates the matrices within layers, the second the rest.
# They start afresh in a stage that does not say what is handed over.
STAGES: list[Stage] = []
TOTAL_STEPS = sum(stage["steps"] for stage in STAGES)
