"""Ray worker process: trains one trial after the other and reports stage ends and outcomes to the driver.

A trial's configuration only says where to look (run directory, session, trial number); the task itself is a file.
Reports are JSON texts; Ray pickles only a runner that was passed in.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mbo_search.engine.backends.stop_signals import SessionWatch
from mbo_search.engine.backends.worker import TrialWorker, read_worker_plan
from mbo_search.engine.tasks import TrialTask, read_task
from mbo_search.errors import UserError
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.system.same_code import Code, code_here
from mbo_search.train.runners import GivenRunner
from mbo_search.trial.outcome import BoundaryEvent
from mbo_search.trial.reports import Stop

BOUNDARY = "boundary"
"""Name under which a stage end is reported."""

LOG = "log"
"""Name under which new lines of the trial's log are reported by workers that do not see the driver's files."""

OUTCOME = "outcome"
"""Name under which the outcome is reported."""

PLAN = "plan"
"""Name of the workers' plan in the configuration of a trial whose worker does not see the driver's files."""

TASK = "task"
"""Name of the task there."""

CODE = "code"
"""Name of the code that the driver runs."""

FOREIGN_CODE = "runs other code than the driver"
"""Phrase in the error of a worker that found another copy of this package."""


@dataclass(frozen=True, slots=True)
class SentRunner:
    """A runner that the driver has sent; equal by its token, so that a process keeps the first one it unpickles.

    Attributes:
        runner: The runner.
        token: Names it.
    """

    runner: GivenRunner = field(compare=False)
    token: str


def train_trial(config: dict[str, Any], sent: SentRunner | None = None) -> None:
    """Train one trial; the driver may end it at any report."""
    check_code(config)
    run = RunDirectory(Path(config["run"]))
    worker = _worker(config["run"], sent)
    watch = SessionWatch(run.path / "session.json", config["session"])
    report_trial(worker, read_task(run.trials, config["trial"]), stop=watch, extra=dict)


def check_code(config: dict[str, Any]) -> None:
    """Refuse to train with another copy of this package than the driver's.

    Raises:
        UserError: If the files differ.
    """
    wanted, here = Code(**config[CODE]), _code_here()
    if here.fingerprint != wanted.fingerprint:
        same = here.folder == wanted.folder
        why = "have changed since it started" if same else f"differ from those in {wanted.folder}"
        raise UserError(f"a worker on {socket.gethostname()} {FOREIGN_CODE}: the files in {here.folder} {why}")


_code_here = functools.cache(code_here)


def report_trial(worker: TrialWorker, task: TrialTask, *, stop: Stop, extra: Callable[[], dict[str, str]]) -> None:
    """Train a task and report its stage ends and its outcome to Tune."""
    from ray import tune

    def report(event: BoundaryEvent) -> bool:
        if not event.is_last:
            tune.report({BOUNDARY: event.model_dump_json(), **extra()})
        return False  # the report of a pruned trial does not return

    outcome = worker.execute(task, stop=stop, on_boundary=report)
    tune.report({OUTCOME: outcome.model_dump_json(), **extra()})


@functools.lru_cache(maxsize=1)
def _worker(folder: str, sent: SentRunner | None) -> TrialWorker:
    """Make the process's worker: torch is imported once, and the data stays mapped from trial to trial."""
    run = RunDirectory(Path(folder))
    plan = read_worker_plan(run)
    if plan.memory_fraction < 1.0:
        cap_gpu_memory(plan.memory_fraction)
    return TrialWorker(run, plan, runner=None if sent is None else sent.runner)


def cap_gpu_memory(fraction: float) -> None:
    """Enforce a fraction of a GPU, which Ray only counts."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(fraction)
