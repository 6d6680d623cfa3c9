"""A worker: trains tasks one after the other in its process, whatever backend feeds it.

The plan of all workers of a run is one small JSON file in the run directory, so that a process on another machine
needs nothing but the path.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from mbo_search.files import read_json, write_atomic
from mbo_search.results.run_directory import RunDirectory
from mbo_search.search.task import TrialTask
from mbo_search.study.base import Description
from mbo_search.train.execute import execute, schedule_path
from mbo_search.train.outcome import BoundaryEvent, TrialOutcome
from mbo_search.train.reports import StageRunner, Stop
from mbo_search.train.setup import TrainSetup
from mbo_search.train.store import StageStore

__all__ = ["TrialWorker", "WorkerPlan", "as_probe", "open_store", "read_worker_plan", "write_worker_plan"]


class WorkerPlan(Description):
    """What every worker of a run has in common.

    Attributes:
        setup: How trials are trained.
        store_limit_bytes: Most bytes of the stage store; None: no limit.
        memory_fraction: Share of a GPU's memory that a trial may take, in (0, 1].
    """

    setup: TrainSetup
    store_limit_bytes: int | None = None
    memory_fraction: float = 1.0


class TrialWorker:
    """Trains tasks of one run directory."""

    def __init__(self, run: RunDirectory, plan: WorkerPlan) -> None:
        """Make a worker; this imports torch.

        Args:
            run: The run directory.
            plan: What every worker has in common.
        """
        from mbo_search.train.torch_runner import TorchStageRunner

        self._run = run
        self._plan = plan
        self._runner: StageRunner = TorchStageRunner(plan.setup, run.scratch)
        self._store = open_store(run, plan)

    def execute(self, task: TrialTask, *, stop: Stop, on_boundary: Callable[[BoundaryEvent], bool]) -> TrialOutcome:
        """Train a task as far as it goes.

        Args:
            task: The task.
            stop: Polled before every step.
            on_boundary: Judges each stage end.

        Returns:
            How it went; a trial's own troubles are outcomes, never exceptions.
        """
        path = schedule_path(task.schedule, self._plan.setup, task.seed)
        log_file = self._run.trial_log(task.trial)
        with log_file.open("a", encoding="utf-8") as file:

            def log(line: str) -> None:
                print(time.strftime("%Y-%m-%d %H:%M:%S"), line, file=file, flush=True)

            def judge(event: BoundaryEvent) -> bool:
                return on_boundary(event) or event.boundary.stage == task.stop_after

            outcome = execute(path, self._runner, self._store, stop=stop, on_boundary=judge, log=log)
            return as_probe(outcome, task)


def as_probe(outcome: TrialOutcome, task: TrialTask) -> TrialOutcome:
    """Say of a probe that came to its end that it was one; other outcomes stay as they are.

    Args:
        outcome: How the task ended.
        task: The task.
    """
    reached = outcome.boundaries[-1].stage if outcome.boundaries else -1
    is_done = outcome.state == "pruned" and outcome.reason == "pruner" and reached == task.stop_after
    return outcome.model_copy(update={"reason": "probe"}) if is_done else outcome


def open_store(run: RunDirectory, plan: WorkerPlan) -> StageStore:
    """The stage store of a run.

    Args:
        run: The run directory.
        plan: Its workers' plan.
    """
    return StageStore(run.stages, plan.store_limit_bytes, plan.setup.windows_fingerprint)


def write_worker_plan(run: RunDirectory, plan: WorkerPlan) -> None:
    """Leave a plan where workers find it.

    Args:
        run: The run directory.
        plan: The plan.
    """
    write_atomic(run.path / "worker.json", plan.model_dump_json() + "\n")


def read_worker_plan(run: RunDirectory) -> WorkerPlan:
    """Read the plan that a driver left.

    Args:
        run: The run directory.
    """
    return WorkerPlan.model_validate(read_json(run.path / "worker.json"))
