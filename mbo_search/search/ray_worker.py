"""What a Ray worker process runs: one trial after the other, reporting stage ends and outcomes to the driver.

A trial's configuration is only where to look (run directory, session, trial number); the task itself is a file.
Reports are JSON texts, so that nothing of ours crosses Ray as a pickle.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from mbo_search.results.run_directory import RunDirectory
from mbo_search.search.stopping import SessionWatch
from mbo_search.search.task_files import read_task
from mbo_search.search.worker import TrialWorker, read_worker_plan
from mbo_search.train.outcome import BoundaryEvent

__all__ = ["BOUNDARY", "OUTCOME", "train_trial"]

BOUNDARY = "boundary"
"""Name under which a stage end is reported."""

OUTCOME = "outcome"
"""Name under which the outcome is reported."""


def train_trial(config: dict[str, Any]) -> None:
    """Train one trial; the driver may end it at any report.

    Args:
        config: `run` (path of the run directory), `session` (the driver's session) and `trial` (its number).
    """
    from ray import tune

    run = RunDirectory(Path(config["run"]))
    worker = _worker(config["run"])
    watch = SessionWatch(run.path / "session.json", config["session"])

    def report(event: BoundaryEvent) -> bool:
        if not event.is_last:
            tune.report({BOUNDARY: event.model_dump_json()})
        return False  # a pruned trial does not come back from the report

    outcome = worker.execute(read_task(run.trials, config["trial"]), stop=watch, on_boundary=report)
    tune.report({OUTCOME: outcome.model_dump_json()})


@functools.lru_cache(maxsize=1)
def _worker(folder: str) -> TrialWorker:
    """The process's worker: torch is imported once, and the data stays mapped from trial to trial."""
    run = RunDirectory(Path(folder))
    plan = read_worker_plan(run)
    if plan.memory_fraction < 1.0:
        _cap_gpu_memory(plan.memory_fraction)
    return TrialWorker(run, plan)


def _cap_gpu_memory(fraction: float) -> None:
    """Fractions of a GPU are only counted by Ray; this makes them real."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(fraction)
