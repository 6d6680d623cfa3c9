"""The Ray backend: `tune.Tuner` runs the director's trials on all slots of one machine or of a cluster.

Tune's loop runs in a thread of its own, so that signals stay with the driver. Tune's files are scratch: nothing is
ever restored from them.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mbo_search.results.run_directory import RunDirectory
from mbo_search.search.director import Director
from mbo_search.search.ray_session import RaySlots, ray_session
from mbo_search.search.stopping import SessionFile, StopRequest

__all__ = ["MOST_STOP_SECONDS", "run_on_ray"]

MOST_STOP_SECONDS = 10.0
"""Time for running trials to save their state before Tune is ended over their heads."""

_POLL_SECONDS = 0.25
_MOST_ROUNDS = 3


def run_on_ray(
    director: Director,
    run: RunDirectory,
    slots: RaySlots,
    *,
    address: str | None,
    stop: StopRequest,
    observe: Callable[[], None],
) -> None:
    """Train on all slots until the director has nothing left or is told to stop.

    Args:
        director: The search.
        run: The run directory, where workers find tasks and leave nodes.
        slots: How many trials run at once, and what each needs.
        address: An existing cluster; None: one of our own on this machine.
        stop: Once set, the trials at work save their state and the search ends.
        observe: Called now and then.

    Raises:
        Exception: Whatever a call of the director raised, after the trials at work have saved their state.
    """
    with (
        ray_session(slots, address=address, logs=run.path / "ray", arm=stop.arm) as folder,
        _storage(folder if address is None else run.path) as storage,
    ):
        for _ in range(_MOST_ROUNDS):
            _run_round(director, run, slots, storage=storage, stop=stop, observe=observe)
            if not director.has_more:
                return
            for trial in director.running_trials:
                director.lost(trial, "Ray Tune ended before the trial")


@contextmanager
def _storage(parent: Path) -> Iterator[Path]:
    """A folder for Tune's files, which all nodes of a cluster must see; gone afterwards."""
    storage = Path(tempfile.mkdtemp(prefix=".tune-", dir=parent))
    try:
        yield storage
    finally:
        shutil.rmtree(storage, ignore_errors=True)


def _run_round(
    director: Director,
    run: RunDirectory,
    slots: RaySlots,
    *,
    storage: Path,
    stop: StopRequest,
    observe: Callable[[], None],
) -> None:
    """One life of a Tuner; a second one is needed only if Tune gives up by itself."""
    from mbo_search.search.ray_adapter import Seat

    session = SessionFile(run.path / "session.json")
    config = {"run": str(run.path.resolve()), "session": session.session}
    seat = Seat(director, config, slots=slots.slots)
    halt = _Halt(director)
    fit = _Fit(_tuner(seat, slots, storage, halt))
    fit.start()
    while fit.is_alive():
        fit.join(_POLL_SECONDS)
        with seat.lock:
            observe()
            if (stop.is_set() or seat.failure is not None) and not director.is_stopping:
                director.stop()
                session.stop()
                halt.begin()
    failure = seat.failure or fit.failure
    if failure is not None:
        raise failure


def _tuner(seat: Any, slots: RaySlots, storage: Path, halt: _Halt) -> Any:
    from ray import tune

    from mbo_search.search.director import MOST_RETRIES
    from mbo_search.search.ray_adapter import BoundaryScheduler, DirectorSearcher, HaltStopper, TrialCallback
    from mbo_search.search.ray_worker import train_trial

    return tune.Tuner(
        tune.with_resources(train_trial, slots.per_trial),
        tune_config=tune.TuneConfig(
            search_alg=DirectorSearcher(seat),
            scheduler=BoundaryScheduler(seat),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=_trial_id,
            trial_name_creator=_trial_id,
        ),
        run_config=tune.RunConfig(
            name=f"tune-{secrets.token_hex(4)}",
            storage_path=str(storage.resolve()),
            verbose=0,
            callbacks=[TrialCallback(seat)],
            failure_config=tune.FailureConfig(max_failures=MOST_RETRIES),
            stop=HaltStopper(halt),
        ),
    )


def _trial_id(trial: Any) -> str:
    return str(trial.trial_id)


class _Halt:
    """When Tune may be ended: all trials at work have come back, or they had their time."""

    def __init__(self, director: Director) -> None:
        self._director = director
        self._deadline: float | None = None

    def begin(self) -> None:
        self._deadline = time.monotonic() + MOST_STOP_SECONDS

    def __call__(self) -> bool:
        if self._deadline is None:
            return False
        return not self._director.running_trials or time.monotonic() > self._deadline


class _Fit(threading.Thread):
    """Tune's loop in a thread.

    Attributes:
        failure: What ended it, if not its own end.
    """

    def __init__(self, tuner: Any) -> None:
        super().__init__(name="tune", daemon=True)
        self._tuner = tuner
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            self._tuner.fit()
        except Exception as error:
            self.failure = error
