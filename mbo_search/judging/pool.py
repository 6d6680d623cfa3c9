"""Where runs are made: some at once in processes of this machine, or as tasks of Ray."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from mbo_search.engine.backends.ray.cluster import Cluster
from mbo_search.engine.backends.ray.session import RaySlots, ray_session
from mbo_search.engine.backends.stop_signals import StopRequest
from mbo_search.judging.pairs import RunRecord
from mbo_search.judging.question import JudgeQuestion
from mbo_search.judging.running import RunJob, run_job

if TYPE_CHECKING:
    from mbo_search.engine.backends.ray.tasks import RayTasks


class RunPool(Protocol):
    """A place where runs are made."""

    def submit(self, job: RunJob) -> Future[RunRecord | None]:
        """Begin a run."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPlace:
    """Which place.

    Attributes:
        backend: Processes of this machine, or Ray.
        cluster: An existing cluster, whose machines must see the folder; None: Ray on this machine.
    """

    backend: Literal["local", "ray"] = "local"
    cluster: Cluster | None = None


@contextmanager
def open_pool(place: PoolPlace, question: JudgeQuestion, logs: Path, stop: StopRequest) -> Iterator[RunPool]:
    """Make runs inside the block; its end waits for those that have begun.

    Args:
        place: Where.
        question: How many at once, and with how many GPUs.
        logs: Folder of Ray's logs.
        stop: Interrupts the start of Ray.

    Raises:
        UserError: If Ray does not start, or the cluster cannot be used.
    """
    if place.backend == "local":
        with ThreadPoolExecutor(question.workers) as executor:
            yield _LocalPool(executor)
        return
    slots = RaySlots(slots=question.workers, cpus_per_trial=1, gpus_per_trial=question.gpus_per_run)
    with ray_session(slots, cluster=place.cluster, logs=logs, stop=stop):
        from mbo_search.engine.backends.ray.tasks import RayTasks

        stop.arm()
        yield _RayPool(RayTasks(slots))


class _LocalPool:
    """Threads, each of which watches one process."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor

    def submit(self, job: RunJob) -> Future[RunRecord | None]:
        return self._executor.submit(run_job, job)


class _RayPool:
    """Tasks of Ray."""

    def __init__(self, tasks: RayTasks) -> None:
        self._tasks = tasks

    def submit(self, job: RunJob) -> Future[RunRecord | None]:
        return self._tasks.submit(run_job, job)
