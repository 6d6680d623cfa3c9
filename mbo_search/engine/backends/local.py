"""Local backend: ask, execute, tell in this process, one trial at a time."""

from __future__ import annotations

from collections.abc import Callable

from mbo_search.engine.backends.stop_signals import StopRequest, throttled
from mbo_search.engine.backends.worker import TrialWorker
from mbo_search.engine.control.controller import SearchController
from mbo_search.engine.tasks import TrialTask
from mbo_search.trial.outcome import BoundaryEvent

_OBSERVE_EVERY_SECONDS = 0.5


def run_locally(
    controller: SearchController, worker: TrialWorker, *, stop: StopRequest, observe: Callable[[], None]
) -> None:
    """Train until the controller has nothing left or a stop is requested."""
    while not stop.is_set() and (task := controller.ask()) is not None:
        observe()
        _train(controller, worker, task, stop=stop, observe=observe)
        observe()
    if stop.is_set():
        controller.stop()


def _train(
    controller: SearchController,
    worker: TrialWorker,
    task: TrialTask,
    *,
    stop: StopRequest,
    observe: Callable[[], None],
) -> None:
    observe_sometimes = throttled(observe, _OBSERVE_EVERY_SECONDS)

    def is_stopped() -> bool:
        observe_sometimes()
        return stop.is_set()

    def judge(event: BoundaryEvent) -> bool:
        return controller.heard(task.trial, event)

    controller.started(task.trial)
    outcome = worker.execute(task, stop=is_stopped, on_boundary=judge)
    if stop.is_set():
        controller.stop()
    controller.tell(task.trial, outcome, worker="local")
