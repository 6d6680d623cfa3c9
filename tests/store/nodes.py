"""Nodes for tests of stores: keys, reports and small states by number."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from mbo_search.trial.cost import Cost
from mbo_search.trial.reports import BoundaryReport, CurvePoint, Metrics

WINDOWS = "w" * 64
STATE_BYTES = 1013


def key_of(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()


def report_of(number: float, *, seconds: float = 1.0, evaluated: bool = True) -> BoundaryReport:
    metrics = Metrics(loss=2.0 + number / 3, accuracy=0.25, bits_per_byte=1 / 3, num_tokens=64)
    point = CurvePoint(
        step=4,
        tokens=64,
        lr=0.1,
        train_loss=1 / 7,
        grad_norm=1.0,
        loss=metrics.loss if evaluated else None,
        metrics=metrics if evaluated else None,
    )
    return BoundaryReport(
        step=4,
        cost=Cost(executed_tokens=64, train_seconds=seconds, peak_memory_bytes=1000),
        metrics=metrics if evaluated else None,
        curve=(point,),
    )


def state_of(folder: Path, number: int, num_bytes: int = 1000) -> Path:
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(str(number).encode() * (num_bytes // len(str(number))))
    (folder / "state.json").write_text(json.dumps({"number": number}))
    return folder
