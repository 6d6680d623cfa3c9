"""A small real trainer over plain JSON: it walks down a noisy parabola with momentum.

It behaves as a `StageRunner` must, without torch: its state depends on the node, the segments and the seed
alone, it stops when asked and resumes where it stopped, and it reports points that do not depend on where a call
began.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mbo_search.study.spec.keys import root_key, segment_keys
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.spec.segments import BudgetSteps, Segment, cut
from mbo_search.train.execution.path import SchedulePath
from mbo_search.trial.cost import Cost
from mbo_search.trial.reports import BoundaryReport, CurvePoint, Metrics, Node, Stop

BUDGET = BudgetSteps(num_segments=10, steps_per_segment=3, batch_tokens=8)
ROOT = root_key(model={"toy": 1}, data_fingerprint="none", seed=0, numerics={})
SECONDS_PER_STEP = 10.0
"""Pretended, so that keeping a state always pays and tests do not depend on the machine."""


def path_of(schedule: Schedule, *, seed: int = 0, branch_points: Sequence[int] = ()) -> SchedulePath:
    """Cut a schedule into the toy's grid segments, with their keys."""
    segments = cut(schedule, BUDGET)
    keys = segment_keys(hashlib.sha256(f"{ROOT}{seed}".encode()).hexdigest(), segments)
    return SchedulePath(segments=segments, keys=keys, seed=seed, branch_points=frozenset(branch_points))


_State = dict[str, Any]


class ToyRunner:
    """Trains; notes every call as (first step, last step); `failure` is called before every step."""

    def __init__(self, scratch: Path, failure: Callable[[int], None] | None = None) -> None:
        self.scratch = scratch
        self.calls: list[tuple[int, int]] = []
        self.measured: list[int] = []
        self.failure = failure or (lambda step: None)

    def has_begun(self, key: str) -> bool:
        """Nothing is kept within stages that a failed attempt could count; see `StageRunner.has_begun`."""
        return False

    def run(
        self, node: Node | None, segments: Sequence[Segment], seed: int, stop: Stop
    ) -> tuple[Path | None, BoundaryReport]:
        """Train segments from a node, or from the start; see `StageRunner.run`."""
        first, last = segments[0].first_step, segments[-1].last_step
        self.calls.append((first, last))
        folder = self.scratch / f"{node.key[:8] if node else 'root'}-{last}-{seed}"
        state = self._begin(node, folder, first, seed)
        while state["step"] < last:
            step = state["step"]
            segment = next(found for found in segments if step < found.last_step)
            self.failure(step)
            if stop():
                self._write(folder, state)
                return None, replace(self._report(state, None), reason="signal")
            _train_step(state, segment, seed)
            if not math.isfinite(state["x"]):
                return None, replace(self._report(state, None), reason="non_finite", message="x is not finite")
            if state["step"] == segment.last_step:
                state["points"].append(_point(state, segment))
        metrics = _metrics(state) if segments[-1].ends_stage else None
        report = self._report(state, metrics)
        state |= {"points": [], "executed": 0}
        self._write(folder, state)
        return folder, report

    def measure(self, node: Node, segment: Segment) -> Metrics | None:
        """Measure a node without training; see `StageRunner.measure`."""
        self.measured.append(segment.last_step)
        return _metrics(_read(node.path))

    def _begin(self, node: Node | None, folder: Path, first: int, seed: int) -> _State:
        if folder.exists():
            return _read(folder)
        if node is None:
            return {"step": 0, "x": 1.0 + seed, "m": 0.0, "loss_sum": 0.0, "points": [], "executed": 0}
        state = _read(node.path)
        assert state["step"] == first, "a runner is given the node before its first segment"
        return state

    def _write(self, folder: Path, state: _State) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "state.json").write_text(json.dumps(state | {"executed": 0}))

    def _report(self, state: _State, metrics: Metrics | None) -> BoundaryReport:
        return BoundaryReport(
            step=state["step"],
            cost=Cost(
                executed_tokens=state["executed"] * BUDGET.batch_tokens,
                train_seconds=SECONDS_PER_STEP * state["executed"],
                peak_memory_bytes=1000 + state["step"],
            ),
            metrics=metrics,
            curve=tuple(_read_point(values) for values in state["points"]),
        )


def _read(folder: Path) -> _State:
    state: _State = json.loads((folder / "state.json").read_text())
    return state


def _train_step(state: _State, segment: Segment, seed: int) -> None:
    step = state["step"]
    if step == segment.stage_first_step and segment.hand_over == "reset":
        state["m"] = 0.0
    noise = int(hashlib.sha256(f"{seed} {step}".encode()).hexdigest()[:8], 16) / 2**32 - 0.5
    gradient = state["x"] + 0.1 * noise
    state["m"] = (0.9 if segment.stage.optimizer == "adamw" else 0.5) * state["m"] + gradient
    state["loss_sum"] += 0.5 * state["x"] * state["x"]
    state["x"] -= segment.lr(step) * state["m"]
    state["step"] += 1
    state["executed"] += 1


def _metrics(state: _State) -> Metrics:
    loss = 0.5 * state["x"] * state["x"]
    return Metrics(loss=loss, accuracy=0.5, bits_per_byte=loss, num_tokens=1, averaged_loss=loss * 0.9)


def _point(state: _State, segment: Segment) -> _State:
    loss_sum, state["loss_sum"] = state["loss_sum"], 0.0
    metrics = _metrics(state)
    return {
        "step": state["step"],
        "tokens": state["step"] * BUDGET.batch_tokens,
        "lr": segment.lr(segment.last_step - 1),
        "train_loss": loss_sum / segment.num_steps,
        "loss": metrics.loss if segment.index % 2 else None,
        "grad_norm": abs(state["m"]),
        "ends_stage": segment.ends_stage,
        "x": state["x"],
    }


def _read_point(values: _State) -> CurvePoint:
    fields = {name: value for name, value in values.items() if name not in ("ends_stage", "x")}
    return CurvePoint(**fields, metrics=_metrics(values) if values["ends_stage"] else None)
