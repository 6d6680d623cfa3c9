"""The local backend: ask, train, tell in this process, one trial at a time."""

from __future__ import annotations

from collections.abc import Callable

from mbo_search.engine.backends.stop_signals import StopRequest, throttled
from mbo_search.engine.backends.worker import TrialWorker
from mbo_search.engine.control.controller import SearchController
from mbo_search.engine.tasks import TrialTask
from mbo_search.trial.outcome import BoundaryEvent

_OBSERVE_EVERY_SECONDS = 0.5


def run_locally(
    director: SearchController, worker: TrialWorker, *, stop: StopRequest, observe: Callable[[], None]
) -> None:
    """Train until the director has nothing left or is told to stop."""
    while not stop.is_set() and (task := director.ask()) is not None:
        observe()
        _train(director, worker, task, stop=stop, observe=observe)
        observe()
    if stop.is_set():
        director.stop()


def _train(
    director: SearchController,
    worker: TrialWorker,
    task: TrialTask,
    *,
    stop: StopRequest,
    observe: Callable[[], None],
) -> None:
    observe_now_and_then = throttled(observe, _OBSERVE_EVERY_SECONDS)

    def is_stopped() -> bool:
        observe_now_and_then()
        return stop.is_set()

    def judge(event: BoundaryEvent) -> bool:
        return director.heard(task.trial, event)

    director.started(task.trial)
    outcome = worker.execute(task, stop=is_stopped, on_boundary=judge)
    if stop.is_set():
        director.stop()
    director.tell(task.trial, outcome, worker="local")
