"""Tasks of Ray: a function called in a worker process, for work that is no search."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any, TypeVar

from mbo_search.engine.backends.ray.session import RaySlots
from mbo_search.engine.backends.ray.worker import CODE, check_code
from mbo_search.system.same_code import code_here

ArgumentT = TypeVar("ArgumentT")
ValueT = TypeVar("ValueT")

_MOST_RETRIES = 2


class RayTasks:
    """Calls in worker processes of the session that is open; a worker that is lost is replaced twice."""

    def __init__(self, slots: RaySlots) -> None:
        """Make tasks that need what a trial needs."""
        import ray

        self._code = {CODE: asdict(code_here())}
        self._remote: Any = ray.remote(
            num_cpus=slots.cpus_per_trial, num_gpus=slots.gpus_per_trial, max_retries=_MOST_RETRIES
        )(_call)

    def submit(self, function: Callable[[ArgumentT], ValueT], argument: ArgumentT) -> Future[ValueT]:
        """Call a function that every worker can import; what it raises is raised by the future."""
        future: Future[ValueT] = self._remote.remote(self._code, function, argument).future()
        return future


def _call(config: dict[str, Any], function: Callable[[ArgumentT], ValueT], argument: ArgumentT) -> ValueT:
    """Call a function in a worker that runs the driver's code."""
    check_code(config)
    return function(argument)
