"""Ray backend: `tune.Tuner` runs the controller's trials on all slots of one machine or of a cluster.

Tune's loop runs in a thread of its own, so that the driver keeps the signals. Tune's files are temporary: nothing
is ever restored from them.
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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mbo_search.engine.backends.ray.cluster import Cluster
from mbo_search.engine.backends.ray.node import NodeWatch
from mbo_search.engine.backends.ray.session import RaySlots, ray_session
from mbo_search.engine.backends.ray.start import RayStartError
from mbo_search.engine.backends.stop_signals import SessionFile, StopRequest
from mbo_search.engine.backends.worker import read_worker_plan
from mbo_search.engine.control.controller import SearchController
from mbo_search.errors import Problem, UserError, command_line
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.system.same_code import code_here
from mbo_search.train.runners import GivenRunner

if TYPE_CHECKING:
    from mbo_search.engine.backends.ray.adapter import TuneAdapter

MOST_STOP_SECONDS = 10.0
"""Time for running trials to save their state before Tune is ended regardless."""

_POLL_SECONDS = 0.25
_MOST_FUTILE_SESSIONS = 3
"""Sessions of Ray in a row in which no trial ended."""

_OVERDUE_SECONDS = 5.0
"""Further time for Tune to return where it may be waiting for a process that is gone."""

_SAVE_SECONDS = 3.0
"""Time for running trials to save their state where they can no longer report that they have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RayJob:
    """Job for Ray.

    Attributes:
        run: The run directory.
        slots: Resources that a cluster must offer.
        cluster: An existing cluster; None: one on this machine.
        runner: A runner to send to the workers; None: the built-in trainer.
    """

    run: RunDirectory
    slots: RaySlots
    cluster: Cluster | None = None
    runner: GivenRunner | None = None


def run_on_ray(
    controller: SearchController, job: RayJob, *, stop: StopRequest, observe: Callable[[], None]
) -> None:
    """Train on all slots until the controller has nothing left or a stop is requested.

    On an existing cluster, workers get all that they need from the study's store, if it names one; otherwise they
    must see the run directory under its path.

    Raises:
        UserError: If Ray does not start, the cluster cannot be used, or Ray ends again and again.
        Exception: Whatever a call of the controller raised, after the running trials have saved their state.
    """
    try:
        num_futile = 0
        while num_futile < _MOST_FUTILE_SESSIONS:
            num_records = len(controller.table.records)
            _run_session(controller, job, stop=stop, observe=observe)
            if not controller.has_more:
                return
            controller.backend_lost("Ray ended before the trial")
            num_futile = 0 if len(controller.table.records) > num_records else num_futile + 1
    except RayStartError:
        if not stop.is_set():
            raise
        controller.stop()  # nobody waits for Ray any more
        return
    except _TuneStuckError as error:
        if controller.is_stopping:
            return
        raise _refusal(job.run, "lost a process that it needs") from error
    raise _refusal(job.run, f"ended {_MOST_FUTILE_SESSIONS} times before any trial did")


class _TuneStuckError(Exception):
    """Tune waits forever for a process that is gone, so no other session can start in this process."""


def _refusal(run: RunDirectory, what: str) -> UserError:
    rule = f"{what}; its logs are in {run.path / 'ray'}"
    hint = f"continue with: {command_line('resume', run.path)}, where --backend local does not need Ray"
    return UserError([Problem(key="Ray", rule=rule, hint=hint)])


def _run_session(
    controller: SearchController, job: RayJob, *, stop: StopRequest, observe: Callable[[], None]
) -> None:
    """Run one session of Ray; another follows if it kills a worker for memory, loses a process or gives up."""
    with (
        ray_session(job.slots, cluster=job.cluster, logs=job.run.path / "ray", stop=stop) as folder,
        _storage(folder if job.cluster is None else job.run.path) as storage,
    ):
        if stop.is_set():
            controller.stop()  # while Ray was starting: no trial has begun
            return
        session = _session_of(job)
        _run_tuner(controller, session, job.slots, storage=storage, stop=stop, observe=observe)


def _session_of(job: RayJob) -> _Session:
    is_remote = job.cluster is not None and _has_store(job.run)
    session = _announce_remotely(job.run) if is_remote else _announce(job.run)
    return session if job.runner is None else replace(session, train=_with_runner(session.train, job.runner))


@contextmanager
def _storage(parent: Path) -> Iterator[Path]:
    """Make a folder for Tune's files, which all nodes of a cluster must see; removed afterwards."""
    storage = Path(tempfile.mkdtemp(prefix=".tune-", dir=parent))
    try:
        yield storage
    finally:
        shutil.rmtree(storage, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """Means to start and stop workers.

    Attributes:
        train: Function that they run.
        config: Configuration of every trial, without its number.
        stop: Tells them all to save their state and return.
        keep_log: Takes new lines of a trial's log.
    """

    train: Callable[[dict[str, Any]], None]
    config: dict[str, Any]
    stop: Callable[[], None]
    keep_log: Callable[[int, str], None]


def _announce(run: RunDirectory) -> _Session:
    """Announce a session to workers that see the run directory."""
    from mbo_search.engine.backends.ray.worker import CODE, train_trial

    file = SessionFile(run.path / "session.json")
    config = {"run": str(run.path.resolve()), "session": file.session, CODE: asdict(code_here())}
    return _Session(train=train_trial, config=config, stop=file.stop, keep_log=_append(run))


def _announce_remotely(run: RunDirectory) -> _Session:
    """Announce a session to workers that see nothing of this machine."""
    from mbo_search.engine.backends.ray.cluster import StopFlags
    from mbo_search.engine.backends.ray.remote import run_id, train_remote_trial
    from mbo_search.engine.backends.ray.worker import CODE, PLAN

    session = secrets.token_hex(8)
    config = {
        PLAN: read_worker_plan(run).model_dump_json(),
        "run_id": run_id(run, socket.gethostname()),
        "session": session,
        CODE: asdict(code_here()),
    }
    flags = StopFlags(session)
    return _Session(train=train_remote_trial, config=config, stop=flags.stop, keep_log=_append(run))


def _with_runner(train: Callable[..., None], runner: GivenRunner) -> Callable[[dict[str, Any]], None]:
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
    controller: SearchController,
    session: _Session,
    slots: RaySlots,
    *,
    storage: Path,
    stop: StopRequest,
    observe: Callable[[], None],
) -> None:
    """Run Tune until nothing is left, a stop is requested, or Ray has lost this machine."""
    from mbo_search.engine.backends.ray.adapter import TuneAdapter

    adapter = TuneAdapter(controller, session.config, slots=slots.slots, keep_log=session.keep_log)
    halt = _Halt(controller)
    tune_thread, node = _TuneThread(_tuner(adapter, slots, storage, halt, session.train)), NodeWatch()
    for thread in (tune_thread, node):
        thread.start()
    while tune_thread.is_alive() and not (node.is_lost and halt.is_overdue):
        tune_thread.join(_POLL_SECONDS)
        with adapter.lock:
            observe()
            if (stop.is_set() or adapter.failure is not None or controller.is_stopping) and not halt.has_begun:
                controller.stop()
                session.stop()
                halt.begin(MOST_STOP_SECONDS)
            elif node.is_lost and not halt.has_begun:
                adapter.close()  # its trials continue in another session
                halt.begin(0.0)
    with adapter.lock:
        adapter.is_abandoned = tune_thread.is_alive()
    node.end()
    if adapter.failure is not None:
        raise adapter.failure
    if adapter.is_abandoned:
        raise _TuneStuckError
    if tune_thread.failure is not None and not node.is_lost:
        _save_for_the_next_session(tune_thread.failure, adapter, session)


def _save_for_the_next_session(failure: Exception, adapter: TuneAdapter, session: _Session) -> None:
    """Let running trials save their state for another session, after Ray has killed a worker for memory.

    Raises:
        Exception: The failure, if it is something else.
    """
    with adapter.lock:
        adapter.close()
        if not adapter.killed_for_memory(str(failure)):
            raise failure
    session.stop()
    time.sleep(_SAVE_SECONDS)


def _tuner(
    adapter: Any, slots: RaySlots, storage: Path, halt: _Halt, train: Callable[[dict[str, Any]], None]
) -> Any:
    from ray import tune

    from mbo_search.engine.backends.ray import _compat
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
            search_alg=ControllerSearcher(adapter),
            scheduler=BoundaryScheduler(adapter),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=_trial_id,
            trial_name_creator=_trial_id,
        ),
        run_config=tune.RunConfig(
            name=f"tune-{secrets.token_hex(4)}",
            storage_path=str(storage.resolve()),
            verbose=0,
            progress_reporter=_compat.silent_reporter(),
            callbacks=[TrialCallback(adapter)],
            failure_config=tune.FailureConfig(max_failures=MOST_RETRIES),
            stop=HaltStopper(halt),
        ),
    )


def _trial_id(trial: Any) -> str:
    return str(trial.trial_id)


class _Halt:
    """Decision when Tune may be ended: all running trials have returned, or their time is up."""

    def __init__(self, controller: SearchController) -> None:
        self._controller = controller
        self._deadline: float | None = None

    @property
    def has_begun(self) -> bool:
        return self._deadline is not None

    @property
    def is_overdue(self) -> bool:
        """Whether Tune has had its time and more."""
        return self._deadline is not None and time.monotonic() > self._deadline + _OVERDUE_SECONDS

    def begin(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def __call__(self) -> bool:
        if self._deadline is None:
            return False
        return not self._controller.running_trials or time.monotonic() > self._deadline


class _TuneThread(threading.Thread):
    """Thread that runs Tune's loop.

    Attributes:
        failure: The exception that ended it, if one did.
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
