"""The Ray backend: `tune.Tuner` runs the director's trials on all slots of one machine or of a cluster.

Tune's loop runs in a thread of its own, so that signals stay with the driver. Tune's files are scratch: nothing is
ever restored from them.
"""

from __future__ import annotations

import secrets
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mbo_search.engine.backends.ray.cluster import Cluster
from mbo_search.engine.backends.ray.node import NodeWatch
from mbo_search.engine.backends.ray.session import RaySlots, ray_session
from mbo_search.engine.backends.ray.start import RayStartError
from mbo_search.engine.backends.stop_signals import SessionFile, StopRequest
from mbo_search.engine.backends.worker import read_worker_plan
from mbo_search.engine.control.controller import SearchController
from mbo_search.errors import Problem, UserError
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.trial.reports import StageRunner

if TYPE_CHECKING:
    from mbo_search.engine.backends.ray.adapter import TuneAdapter

MOST_STOP_SECONDS = 10.0
"""Time for running trials to save their state before Tune is ended over their heads."""

_POLL_SECONDS = 0.25
_MOST_FRUITLESS = 3
"""Lives of Ray in a row in which no trial ended."""

_OVERDUE_SECONDS = 5.0
"""Further time for Tune to come back where a process is gone that it may be waiting for."""

_SAVE_SECONDS = 3.0
"""Time for trials at work to save their state where nobody can hear any more that they have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RayJob:
    """What is run on Ray, and where.

    Attributes:
        run: The run directory.
        slots: What a cluster must offer.
        cluster: An existing cluster; None: one on this machine.
        runner: A runner to send to the workers; None: the built-in trainer.
    """

    run: RunDirectory
    slots: RaySlots
    cluster: Cluster | None = None
    runner: StageRunner | None = None


def run_on_ray(director: SearchController, job: RayJob, *, stop: StopRequest, observe: Callable[[], None]) -> None:
    """Train on all slots until the director has nothing left or is told to stop.

    On somebody's cluster, workers get all that they need from the study's store, if it names one; else they must
    see the run directory under its path.

    Raises:
        UserError: If Ray does not start, the cluster cannot be used, or Ray ends again and again.
        Exception: Whatever a call of the director raised, after the trials at work have saved their state.
    """
    try:
        num_fruitless = 0
        while num_fruitless < _MOST_FRUITLESS:
            num_records = len(director.table.records)
            _run_session(director, job, stop=stop, observe=observe)
            if not director.has_more:
                return
            director.backend_lost("Ray ended before the trial")
            num_fruitless = 0 if len(director.table.records) > num_records else num_fruitless + 1
    except RayStartError:
        if not stop.is_set():
            raise
        director.stop()  # nobody waits for Ray any longer
        return
    except _TuneStuckError as error:
        if director.is_stopping:
            return
        raise _refusal(job.run, "lost a process that it cannot work without") from error
    raise _refusal(job.run, f"ended {_MOST_FRUITLESS} times before any trial did")


class _TuneStuckError(Exception):
    """Tune waits for a process that is gone, for ever, so no other session can begin in this process."""


def _refusal(run: RunDirectory, what: str) -> UserError:
    rule = f"{what}; its logs are in {run.path / 'ray'}"
    hint = f"go on with: mbo-search resume {run.path}, where --backend local needs no Ray"
    return UserError([Problem(key="Ray", rule=rule, hint=hint)])


def _run_session(
    director: SearchController, job: RayJob, *, stop: StopRequest, observe: Callable[[], None]
) -> None:
    """One life of Ray; another one is needed if it kills a worker for memory, loses a process or gives up."""
    with (
        ray_session(job.slots, cluster=job.cluster, logs=job.run.path / "ray", stop=stop) as folder,
        _storage(folder if job.cluster is None else job.run.path) as storage,
    ):
        if stop.is_set():
            director.stop()  # while Ray was starting: no trial has begun
            return
        session = _session_of(job)
        _run_tuner(director, session, job.slots, storage=storage, stop=stop, observe=observe)


def _session_of(job: RayJob) -> _Session:
    is_remote = job.cluster is not None and _has_store(job.run)
    session = _announce_remotely(job.run) if is_remote else _announce(job.run)
    return session if job.runner is None else replace(session, train=_with_runner(session.train, job.runner))


@contextmanager
def _storage(parent: Path) -> Iterator[Path]:
    """A folder for Tune's files, which all nodes of a cluster must see; gone afterwards."""
    storage = Path(tempfile.mkdtemp(prefix=".tune-", dir=parent))
    try:
        yield storage
    finally:
        shutil.rmtree(storage, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """How workers are fed and stopped.

    Attributes:
        train: What they run.
        config: What every trial's configuration holds besides its number.
        stop: Tells them all to save their state and come back.
        keep_log: Takes new lines of a trial's log.
    """

    train: Callable[[dict[str, Any]], None]
    config: dict[str, Any]
    stop: Callable[[], None]
    keep_log: Callable[[int, str], None]


def _announce(run: RunDirectory) -> _Session:
    """Workers see the run directory."""
    from mbo_search.engine.backends.ray.worker import train_trial

    file = SessionFile(run.path / "session.json")
    config = {"run": str(run.path.resolve()), "session": file.session}
    return _Session(train=train_trial, config=config, stop=file.stop, keep_log=_append(run))


def _announce_remotely(run: RunDirectory) -> _Session:
    """Workers see nothing of this machine."""
    from mbo_search.engine.backends.ray.cluster import StopFlags
    from mbo_search.engine.backends.ray.remote import run_id, train_remote_trial
    from mbo_search.engine.backends.ray.worker import PLAN

    session = secrets.token_hex(8)
    config = {
        PLAN: read_worker_plan(run).model_dump_json(),
        "run_id": run_id(run, socket.gethostname()),
        "session": session,
    }
    board = StopFlags(session)
    return _Session(train=train_remote_trial, config=config, stop=board.stop, keep_log=_append(run))


def _with_runner(train: Callable[..., None], runner: StageRunner) -> Callable[[dict[str, Any]], None]:
    """Send a runner to the workers, which keep it from trial to trial."""
    from ray import tune

    from mbo_search.engine.backends.ray.worker import SentRunner

    sent: Callable[[dict[str, Any]], None] = tune.with_parameters(
        train, sent=SentRunner(runner=runner, token=secrets.token_hex(8))
    )
    return sent


def _has_store(run: RunDirectory) -> bool:
    return read_worker_plan(run).store_url is not None


def _append(run: RunDirectory) -> Callable[[int, str], None]:
    def append(trial: int, lines: str) -> None:
        with run.trial_log(trial).open("a", encoding="utf-8") as file:
            file.write(lines)

    return append


def _run_tuner(
    director: SearchController,
    session: _Session,
    slots: RaySlots,
    *,
    storage: Path,
    stop: StopRequest,
    observe: Callable[[], None],
) -> None:
    """Run Tune until nothing is left, a stop is asked for, or this machine is lost to Ray."""
    from mbo_search.engine.backends.ray.adapter import TuneAdapter

    seat = TuneAdapter(director, session.config, slots=slots.slots, keep_log=session.keep_log)
    halt = _Halt(director)
    fit, node = _Fit(_tuner(seat, slots, storage, halt, session.train)), NodeWatch()
    for thread in (fit, node):
        thread.start()
    while fit.is_alive() and not (node.is_lost and halt.is_overdue):
        fit.join(_POLL_SECONDS)
        with seat.lock:
            observe()
            if (stop.is_set() or seat.failure is not None or director.is_stopping) and not halt.has_begun:
                director.stop()
                session.stop()
                halt.begin(MOST_STOP_SECONDS)
            elif node.is_lost and not halt.has_begun:
                seat.close()  # its trials go on in another session
                halt.begin(0.0)
    with seat.lock:
        seat.is_left = fit.is_alive()
    node.end()
    if seat.failure is not None:
        raise seat.failure
    if seat.is_left:
        raise _TuneStuckError
    if fit.failure is not None and not node.is_lost:
        _excuse(fit.failure, seat, session)


def _excuse(failure: Exception, seat: TuneAdapter, session: _Session) -> None:
    """Tune cannot go on after Ray has killed a worker for memory; others save their state for another session.

    Raises:
        Exception: The failure, if it is something else.
    """
    with seat.lock:
        seat.close()
        if not seat.killed_for_memory(str(failure)):
            raise failure
    session.stop()
    time.sleep(_SAVE_SECONDS)


def _tuner(seat: Any, slots: RaySlots, storage: Path, halt: _Halt, train: Callable[[dict[str, Any]], None]) -> Any:
    from ray import tune

    from mbo_search.engine.backends.ray.adapter import (
        BoundaryScheduler,
        ControllerSearcher,
        HaltStopper,
        TrialCallback,
    )
    from mbo_search.engine.control.controller import MOST_RETRIES

    return tune.Tuner(
        tune.with_resources(train, slots.per_trial),
        tune_config=tune.TuneConfig(
            search_alg=ControllerSearcher(seat),
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

    def __init__(self, director: SearchController) -> None:
        self._director = director
        self._deadline: float | None = None

    @property
    def has_begun(self) -> bool:
        return self._deadline is not None

    @property
    def is_overdue(self) -> bool:
        """Whether Tune had its time and more."""
        return self._deadline is not None and time.monotonic() > self._deadline + _OVERDUE_SECONDS

    def begin(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

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
