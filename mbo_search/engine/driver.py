"""Driving a search: a backend asks the controller for tasks, executes them and tells it how they ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mbo_search.data.prepare import PreparedData
from mbo_search.engine.backends.local import run_locally
from mbo_search.engine.backends.ray.runner import RayJob, run_on_ray
from mbo_search.engine.backends.stop_signals import StopRequest
from mbo_search.engine.backends.worker import TrialWorker, WorkerPlan, write_worker_plan
from mbo_search.engine.control.controller import SearchController
from mbo_search.engine.housekeeping import Housekeeper
from mbo_search.errors import Problem, UserError
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.store.open_store import store_url
from mbo_search.system.object_storage import ObjectFolder
from mbo_search.train.runners import GivenRunner


class TrainingBackend(Protocol):
    """A place where trials are executed."""

    def train(self, controller: SearchController, *, stop: StopRequest, observe: Callable[[], None]) -> None:
        """Execute what the controller asks for until nothing is left or a stop is requested."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalBackend:
    """Trials in this process, one after the other."""

    run: RunDirectory
    plan: WorkerPlan
    prepared: PreparedData | None
    runner: GivenRunner | None

    def train(self, controller: SearchController, *, stop: StopRequest, observe: Callable[[], None]) -> None:
        """Execute what the controller asks for; see `TrainingBackend.train`."""
        write_worker_plan(self.run, self.plan)
        worker = TrialWorker(self.run, self.plan, prepared=self.prepared, runner=self.runner)
        run_locally(controller, worker, stop=stop, observe=observe)


@dataclass(frozen=True, slots=True, kw_only=True)
class RayBackend:
    """Trials in worker processes on one machine or a cluster."""

    job: RayJob
    plan: WorkerPlan
    prepared: PreparedData | None

    def train(self, controller: SearchController, *, stop: StopRequest, observe: Callable[[], None]) -> None:
        """Execute what the controller asks for; see `TrainingBackend.train`.

        Raises:
            UserError: If Ray does not start, or the study's store cannot be written.
        """
        write_worker_plan(self.job.run, self.plan)
        if self.job.cluster is not None and self.plan.store_url is not None and self.prepared is not None:
            _send_data(self.prepared, self.plan.store_url)
        run_on_ray(controller, self.job, stop=stop, observe=observe)


class SearchDriver:
    """One driver's time with a run directory, whose lock it holds."""

    def __init__(self, controller: SearchController, backend: TrainingBackend, housekeeper: Housekeeper) -> None:
        self.controller = controller
        self._backend = backend
        self._housekeeper = housekeeper

    def run(self, stop: StopRequest) -> SearchController:
        """Train until nothing is left or a stop is requested, and return the controller with all that is known."""
        try:
            if self.controller.has_more:
                self._backend.train(self.controller, stop=stop, observe=self.observe)
                self.observe()  # the last schedules may have been known, and told without training
                self._housekeeper.finish()
        finally:
            self._housekeeper.close()
        return self.controller

    def observe(self) -> None:
        """Do what is due between two steps."""
        self._housekeeper.observe(self.controller)


def _send_data(prepared: PreparedData, url: str) -> None:
    """Put the data where workers on other machines find them."""
    from mbo_search.data.transfer import send_prepared

    try:
        send_prepared(prepared, ObjectFolder.at(store_url(url)))
    except OSError as error:
        rule = f"cannot be written: {error}"
        raise UserError([Problem(key="resources.store.url", value=url, rule=rule)]) from error
