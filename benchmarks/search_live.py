"""A real study searched by us and by what Ray Tune users run: cost until the same validation loss is reached.

    python benchmarks/search_live.py --seeds 3 --json benchmarks/results/search-live.json

Each side runs in processes of its own, on the same slots, with the same trainer and the same schedules to begin
with, in turns: ours (`run_study`) and OptunaSearch with ASHA, with two reduction factors of which the better
one counts. The clock of a side starts when its first worker begins to train, so starting Ray and its workers is
left out on both sides. Three costs are compared: executed tokens, wall-clock seconds, and processor seconds of
all processes of the side. Finished sides are kept in the folder --out, so an interrupted measurement goes on.
With `--backend local` both sides do without Ray and train one schedule at a time: then tokens are the same on
every repetition, and a busy machine does no harm.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from live_reference import Row, rows_as_json, search, search_here

from mbo_search.api.studies import data_cache
from mbo_search.data.prepare import prepare
from mbo_search.study.files.study_file import load_study
from mbo_search.study.study import Study
from mbo_search.system.files import read_json, write_json

OURS = "ours"
FACTORS = (2, 4)
Backend = Literal["ray", "local"]
AXES = ("tokens", "wall_seconds", "processor_seconds")
NUM_RESAMPLES = 2000
MOST_ATTEMPTS = 5
"""Ray gives up starting on a machine that is busy for half a minute; then the side begins anew."""
STUDY = Path(__file__).with_name("live.yaml")


@dataclass(frozen=True)
class Curve:
    """How one search went.

    Attributes:
        steps: Costs (columns in the order of `AXES`) at which schedules ended, shape [num_ends, 3].
        best: Lowest loss at each of them.
        totals: The costs of the whole search.
    """

    steps: np.ndarray
    best: np.ndarray
    totals: np.ndarray


def reference_name(factor: int) -> str:
    """Name of the side of a reduction factor."""
    return f"tpe+asha{factor}"


# One side


def run_side(study: Study, side: str, out: Path, *, backend: Backend) -> None:
    """Search with one side and write what its trials cost and gave.

    Args:
        study: The study.
        side: `ours` or the name of a reference.
        out: A folder that does not exist yet.
        backend: Where trials run.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if side == OURS:
        rows = _search_ours(study, out, backend)
    else:
        factor = int(side.removeprefix(reference_name(0)[:-1]))
        find = search if backend == "ray" else search_here
        rows = find(study, out, cache=data_cache(), reduction_factor=factor)
    write_json(out / "rows.json", rows_as_json(rows))


def _search_ours(study: Study, out: Path, backend: Backend) -> list[Row]:
    from mbo_search.engine.run import RunOptions, run_study
    from mbo_search.results.records.run_directory import RunDirectory

    run_study(study, out, RunOptions(cache=data_cache(), backend=backend))
    return [
        Row(
            started=record.started_at,
            ended=record.ended_at,
            tokens=record.cost.tokens,
            train_seconds=record.cost.train_seconds,
            loss=record.val_loss,
        )
        for record in RunDirectory.open(out).records()
    ]


def measure_side(
    study_file: Path, overrides: Sequence[str], side: str, out: Path, *, backend: Backend
) -> dict[str, Any]:
    """Run a side in a process of its own and watch what its processes compute."""
    command = [sys.executable, __file__, "--study", str(study_file), "--side", side, "--out", str(out)]
    command += ["--backend", backend]
    for _ in range(MOST_ATTEMPTS):
        shutil.rmtree(out, ignore_errors=True)
        arguments = [*command, *(f"--set={one}" for one in overrides)]
        with subprocess.Popen(arguments, env={**os.environ, "RAY_worker_niceness": "0"}) as process:
            meter = ProcessorMeter(process.pid)
            while process.poll() is None:
                meter.read()
                time.sleep(0.5)
        if not process.returncode:
            return {"rows": read_json(out / "rows.json"), "processor": meter.readings}
    raise SystemExit(f"{side} failed, see above")


class ProcessorMeter:
    """Processor seconds of a process and all below it, those that have ended included.

    Attributes:
        readings: Pairs of seconds since the epoch and processor seconds so far.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._seconds: dict[int, float] = {}
        self.readings: list[tuple[float, float]] = []

    def read(self) -> None:
        """Add a reading."""
        ticks = os.sysconf("SC_CLK_TCK")
        found = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended meanwhile
            found[int(stat.parent.name)] = int(fields[1]), (int(fields[11]) + int(fields[12])) / ticks
        for pid, (_, seconds) in found.items():
            if pid in self._seconds or _is_below(pid, self._root, found):
                self._seconds[pid] = seconds
        self.readings.append((time.time(), sum(self._seconds.values())))


def _is_below(pid: int, root: int, found: dict[int, tuple[int, float]]) -> bool:
    while pid in found and pid != root:
        pid = found[pid][0]
    return pid == root


# From trials to curves


def curve_of(side: dict[str, Any]) -> Curve:
    """What a search had found at each cost."""
    rows = [Row(**row) for row in side["rows"]]
    began = min(row.ended - row.train_seconds for row in rows if row.tokens)
    ends = sorted((row.ended, row.loss) for row in rows if row.loss is not None)
    times = np.array([when for when, _ in ends])
    last = max(row.ended for row in rows)
    return Curve(
        steps=_costs(rows, side["processor"], times, began),
        best=np.minimum.accumulate([loss for _, loss in ends]),
        totals=_costs(rows, side["processor"], np.array([last]), began)[0],
    )


def _costs(rows: Sequence[Row], readings: Sequence[Sequence[float]], times: np.ndarray, began: float) -> np.ndarray:
    """Costs up to some moments; the tokens of a trial count evenly over its time."""
    tokens = np.zeros(len(times))
    for row in rows:
        first = max(row.started, began)
        done = np.clip((times - first) / max(row.ended - first, 1e-9), 0.0, 1.0)
        tokens += row.tokens * np.where(times >= row.ended, 1.0, done)
    clock, seconds = np.array(readings).T
    processor = np.interp(times, clock, seconds) - np.interp(began, clock, seconds)
    return np.stack([tokens, times - began, processor], axis=1)


# Comparing


def first_at(curves: Sequence[Curve], axis: int, target: float) -> float | None:
    """The least cost at which the mean of the best losses is at or below a target; None if never."""
    for cost in np.sort(np.concatenate([curve.steps[:, axis] for curve in curves])):
        ends = [int(np.searchsorted(curve.steps[:, axis], cost, side="right")) for curve in curves]
        if all(ends):
            mean = np.mean([curve.best[end - 1] for curve, end in zip(curves, ends, strict=True)])
            if mean <= target + 1e-9:
                return float(cost)
    return None


def cost_ratio(ours: Sequence[Curve], other: Sequence[Curve], axis: int, *, from_budget: bool) -> float:
    """Cost of the other to reach its final mean, divided by ours to reach the same.

    Where ours does not reach it, the inverse: what the other needs for our final mean, against our whole cost.

    Args:
        ours: Our curves, one a seed.
        other: The other's.
        axis: Position in `AXES`.
        from_budget: Count the other's whole cost, and not only what it took to reach its final mean.
    """
    target = final_mean(other)
    mine = first_at(ours, axis, target)
    if mine is None:
        return (first_at(other, axis, final_mean(ours)) or total(other, axis)) / total(ours, axis)
    theirs = None if from_budget else first_at(other, axis, target)
    return (theirs or total(other, axis)) / mine


def final_mean(curves: Sequence[Curve]) -> float:
    """Mean over the seeds of the best loss at the end."""
    return float(np.mean([curve.best[-1] for curve in curves]))


def total(curves: Sequence[Curve], axis: int) -> float:
    """Mean over the seeds of the whole cost."""
    return float(np.mean([curve.totals[axis] for curve in curves]))


def compare(ours: Sequence[Curve], other: Sequence[Curve], axis: int) -> dict[str, Any]:
    """Ratios of one cost: of the mean curves with a 95 % interval by bootstrap over seeds, and seed by seed."""
    rng = np.random.default_rng(0)
    draws = rng.integers(len(ours), size=(NUM_RESAMPLES, len(ours)))
    found: dict[str, Any] = {}
    for name, from_budget in (("reached", False), ("budget", True)):
        ratios = [
            cost_ratio([ours[i] for i in draw], [other[i] for i in draw], axis, from_budget=from_budget)
            for draw in draws
        ]
        low, high = np.quantile(ratios, (0.025, 0.975))
        found[name] = {
            "mean": round(cost_ratio(ours, other, axis, from_budget=from_budget), 3),
            "low": round(float(low), 3),
            "high": round(float(high), 3),
            "seeds": [
                round(cost_ratio([one], [its], axis, from_budget=from_budget), 3)
                for one, its in zip(ours, other, strict=True)
            ],
        }
    return found


def summarize(study: Study, sides: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The whole comparison as plain data."""
    curves = {name: [curve_of(one) for one in found] for name, found in sides.items()}
    reference = min((name for name in curves if name != OURS), key=lambda name: final_mean(curves[name]))
    ours, other = curves[OURS], curves[reference]
    pairs = zip(ours, other, strict=True)
    return {
        "schema": "mbo-search/search-live/1",
        "study": study.study,
        "tokens_per_schedule": study.budget.tokens,
        "schedules": round((study.search.budget or 0) / study.budget.tokens, 2),
        "slots": study.resources.workers,
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "seeds": len(ours),
        "reference": reference,
        "target": round(final_mean(other), 4),
        "reached": first_at(ours, 0, final_mean(other)) is not None,
        "seeds_not_reached": [i for i, (one, its) in enumerate(pairs) if one.best[-1] > its.best[-1]],
        "ratio": {name: compare(ours, other, axis) for axis, name in enumerate(AXES)},
        "sides": {name: [_side(one, sides[name][i]) for i, one in enumerate(of)] for name, of in curves.items()},
    }


def _side(curve: Curve, side: dict[str, Any]) -> dict[str, Any]:
    """One search: its totals, and the costs at which it improved."""
    improves = np.flatnonzero(np.diff(curve.best, prepend=np.inf) < 0)
    return {
        "final_loss": round(float(curve.best[-1]), 4),
        **{name: round(float(value), 1) for name, value in zip(AXES, curve.totals, strict=True)},
        "trials": len(side["rows"]),
        "complete": sum(row["loss"] is not None for row in side["rows"]),
        "train_seconds": round(sum(row["train_seconds"] for row in side["rows"]), 1),
        "curve": [
            [*(round(float(cost), 1) for cost in curve.steps[i]), round(float(curve.best[i]), 4)] for i in improves
        ],
    }


def text(found: dict[str, Any]) -> str:
    """The comparison for people."""
    lines = [f"{found['study']}: {found['seeds']} seeds, {found['schedules']:g} schedules, {found['slots']} slots"]
    lines.append(f"reference {found['reference']}, mean best loss {found['target']:.4f}")
    for name, searches in found["sides"].items():
        means = {key: np.mean([one[key] for one in searches]) for key in ("final_loss", "trials", *AXES)}
        lines.append(
            f"{name:10s} final {means['final_loss']:.4f}, {means['trials']:.0f} trials, "
            f"{means['tokens']:.0f} tokens, {means['wall_seconds']:.0f} s, "
            f"{means['processor_seconds']:.0f} processor s"
        )
    for name, ratios in found["ratio"].items():
        shown = (
            f"{kind} {r['mean']:.2f} [{r['low']:.2f}, {r['high']:.2f}] {r['seeds']}" for kind, r in ratios.items()
        )
        lines.append(f"{name:18s}" + "   ".join(shown))
    if found["seeds_not_reached"]:
        lines.append(f"ours does not reach the reference's own final loss at seeds {found['seeds_not_reached']}")
    return "\n".join(lines)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run all sides of all seeds in turns."""
    if arguments.backend == "local":
        arguments.set.append("resources.workers=1")
    study = load_study(arguments.study, arguments.set)
    prepare(study.data, data_cache())
    names = [OURS, *(reference_name(factor) for factor in arguments.factor or FACTORS)]
    sides: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for seed in range(arguments.seeds):
        turn = seed % len(names)
        for name in names[turn:] + names[:turn]:
            kept, folder = arguments.out / f"{name}-{seed}.json", arguments.out / f"{name}-{seed}"
            if not kept.exists():
                settings = [*arguments.set, f"seed={seed}"]
                side = measure_side(arguments.study, settings, name, folder, backend=arguments.backend)
                write_json(kept, side)
                shutil.rmtree(folder / "stages", ignore_errors=True)
            sides[name].append(read_json(kept))
    return {**summarize(study, sides), "backend": arguments.backend}


def main() -> None:
    """Measure, or run one side for a measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=STUDY)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--factor", type=int, action="append", help="of ASHA; the better one counts", metavar="N")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="replace a study's setting")
    parser.add_argument("--out", type=Path, default=Path("reports/search-live"), help="keeps finished sides")
    parser.add_argument("--json", type=Path, help="write the comparison to this file")
    parser.add_argument(
        "--backend", choices=("ray", "local"), default="ray", help="local: without Ray, one trial at a time"
    )
    parser.add_argument("--side", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        study = load_study(arguments.study, arguments.set)
        run_side(study, arguments.side, arguments.out, backend=arguments.backend)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    found = measure(arguments)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(found) + "\n", encoding="utf-8")
    print(text(found))


if __name__ == "__main__":
    main()
