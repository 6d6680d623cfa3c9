"""Ray Tune's searcher and scheduler, which pass their decisions on to the search controller.

Tune calls them from its own thread. An exception in one of these calls would end the whole search, so each is
caught, kept, and turned into an orderly stop; the driver raises it again when Tune has returned.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from mbo_search.engine.backends.failure_note import FailureNote, read_failure_note, write_failure_note
from mbo_search.engine.backends.ray import _compat
from mbo_search.engine.backends.ray.worker import BOUNDARY, FOREIGN_CODE, LOG, OUTCOME, PLAN, TASK
from mbo_search.engine.control.controller import SearchController
from mbo_search.errors import Problem, UserError
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.trial.outcome import BoundaryEvent, TrialOutcome

P = ParamSpec("P")
T = TypeVar("T")


def _drop_log(trial: int, lines: str) -> None:
    """Ignore lines: workers that see the run directory write their logs themselves."""


_MEMORY_SIGNS = ("OutOfMemoryError", "running low on memory")
"""Phrases in Ray's error about a worker that its memory monitor has killed before the kernel would."""

_VICTIM_SIGN = "Selected to kill"
"""Start of the lines of such an error that name a killed worker; others name the workers that were spared."""


class TuneAdapter:
    """Search controller as Tune sees it: one call at a time, and no exception gets out.

    Attributes:
        failure: The first exception of a call, or None.
        is_abandoned: Whether calls of Tune, which may still be running, are ignored.
        lock: Held during every call.
    """

    def __init__(
        self,
        controller: SearchController,
        config: dict[str, Any],
        *,
        slots: int,
        keep_log: Callable[[int, str], None] = _drop_log,
    ) -> None:
        """Make an adapter."""
        self._keep_log = keep_log
        self.failure: Exception | None = None
        self.is_abandoned = False
        self.lock = threading.RLock()
        self._controller = controller
        self._config = config
        self._slots = slots
        self._numbers: dict[str, int] = {}
        self._events: dict[int, list[BoundaryEvent]] = {}
        self._notes: dict[int, FailureNote] = {}
        self._actors: dict[str, str] = {}
        self._told: set[str] = set()
        self._over: set[str] = set()
        self._is_closed = False

    def close(self) -> None:
        """Suggest nothing more, and ignore how trials end from now on: they continue in another session."""
        self._is_closed = True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Configuration of the next trial, None to be asked again, or `FINISHED`."""
        if self.failure is not None or self._is_closed:
            return Searcher.FINISHED
        if len(self._numbers) - len(self._over) >= self._slots:
            return None
        task = self._controller.ask()
        if task is not None:
            self._numbers[trial_id] = task.trial
            sent = {TASK: task.model_dump_json()} if PLAN in self._config else {}
            return {**self._config, "trial": task.trial, **sent}
        return None if self._controller.has_more else Searcher.FINISHED

    def started(self, trial_id: str, actor: str = "") -> None:
        """Note that a worker, as Ray names it, has begun a trial, for the first time or again."""
        self._actors[trial_id] = actor
        self._events[self._numbers[trial_id]] = []
        self._controller.started(self._numbers[trial_id])

    def lost(self, trial_id: str, error: str) -> None:
        """Note that a worker was lost; Tune starts another, which finds a note if memory was the reason.

        Raises:
            UserError: If it runs other code than the driver, as the next one would.
        """
        _check_code(error)
        if _is_for_memory(error):
            self._note_for_memory(trial_id, error)
        self._controller.worker_lost_retrying(self._numbers[trial_id], _last_line(error))

    def killed_for_memory(self, error: str) -> bool:
        """Note which trials' workers Ray has killed for memory, as far as an error that ended Tune says so.

        Those that it names are not tried again as they are; the others continue in another session.
        """
        if not _is_for_memory(error):
            return False
        victims = "".join(line for line in error.splitlines() if _VICTIM_SIGN in line)
        for trial_id in self._numbers.keys() - self._over - self._told:
            actor = self._actors.get(trial_id)
            if actor and actor in victims:
                self._note_for_memory(trial_id, error)
        return True

    def reported(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Process a report; True ends the trial."""
        number = self._numbers[trial_id]
        if result.get(LOG):
            self._keep_log(number, str(result[LOG]))
        if OUTCOME in result:
            self._tell(trial_id, TrialOutcome.model_validate_json(result[OUTCOME]), result)
        elif BOUNDARY in result:
            event = BoundaryEvent.model_validate_json(result[BOUNDARY])
            self._events[number].append(event)
            if self._controller.heard(number, event):
                self._tell(trial_id, _pruned(self._events[number]), result)
        return trial_id in self._told

    def ended(self, trial_id: str, error: str) -> None:
        """Note that Tune has finished a trial; without an outcome it is lost, unless all are being stopped.

        Tune repeats only trials that were running: one that was given to a reused worker that turned out to be dead
        is dropped at once, and is repeated from here.

        Raises:
            UserError: If its worker runs other code than the driver.
        """
        _check_code(error)
        if trial_id in self._over:
            return
        self._over.add(trial_id)
        if trial_id in self._told or self._controller.is_stopping or self._is_closed:
            return
        number = self._numbers[trial_id]
        note = self._notes.get(number) or self._note_on_disk(number)
        if note is None:
            self._controller.worker_lost(number, _last_line(error))
        else:
            self._controller.tell(number, note.outcome)

    @property
    def _trials(self) -> Path | None:
        """Folder of trials; None where workers do not see it."""
        return RunDirectory(Path(self._config["run"])).trials if "run" in self._config else None

    def _note_on_disk(self, number: int) -> FailureNote | None:
        """Note that a worker left when it ended itself, if no later attempt has reported it."""
        return None if self._trials is None else read_failure_note(self._trials, number)

    def _note_for_memory(self, trial_id: str, error: str) -> None:
        """Leave a note for the next attempt; where workers do not see it, there is none."""
        number = self._numbers[trial_id]
        note = self._notes[number] = FailureNote(reason="out_of_memory", message=error)
        if self._trials is not None:
            write_failure_note(self._trials, number, note)
        elif self._is_closed:
            self._controller.tell(number, note.outcome)

    def _tell(self, trial_id: str, outcome: TrialOutcome, result: dict[str, Any]) -> None:
        self._told.add(trial_id)
        self._controller.tell(self._numbers[trial_id], outcome, worker=str(result.get("hostname", "")))


class ControllerSearcher(Searcher):
    """Searcher of Tune that asks the controller for trials."""

    def __init__(self, adapter: TuneAdapter) -> None:
        """Make a searcher."""
        super().__init__()
        self._adapter = adapter

    def suggest(self, trial_id: str) -> Any:
        """Configuration of the next trial, None to be asked again, or `FINISHED`."""
        return _guarded(self._adapter, self._adapter.suggest, Searcher.FINISHED)(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Note that Tune has finished a trial."""
        _guarded(self._adapter, self._adapter.ended, None)(trial_id, "the worker ended without an outcome")

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the run directory is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: the run directory is the truth."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class BoundaryScheduler(FIFOScheduler):
    """First-come, first-served scheduler of Tune; the controller judges stage ends."""

    def __init__(self, adapter: TuneAdapter) -> None:
        """Make a scheduler."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._adapter = adapter

    def on_trial_result(self, tune_controller: object, trial: Trial, result: dict[str, Any]) -> str:
        """Continue or stop a trial."""
        is_over = _guarded(self._adapter, self._adapter.reported, True)(trial.trial_id, result)
        return str(self.STOP if is_over else self.CONTINUE)

    def __getstate__(self) -> dict[str, Any]:
        return {}


class HaltStopper(Stopper):
    """Stopper that ends Tune's run once no trial with a state worth saving is running."""

    def __init__(self, may_halt: Callable[[], bool]) -> None:
        """Make a stopper."""
        self._may_halt = may_halt

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stop no single trial."""
        return False

    def stop_all(self) -> bool:
        """Whether to end the run."""
        return self._may_halt()

    def __getstate__(self) -> dict[str, Any]:
        return {}


class TrialCallback(Callback):
    """Callback of Tune that reports when workers start trials and when they are lost."""

    def __init__(self, adapter: TuneAdapter) -> None:
        """Make a callback."""
        self._adapter = adapter

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Note that a worker begins a trial."""
        _guarded(self._adapter, self._adapter.started, None)(trial.trial_id, _actor(trial))

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Look for trials whose reused worker could not be reset, which Tune does not report."""
        for trial in trials:
            if trial.status in (Trial.ERROR, Trial.TERMINATED):
                _guarded(self._adapter, self._adapter.ended, None)(trial.trial_id, _error(trial))

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Note that a worker was lost and the trial will be repeated."""
        _guarded(self._adapter, self._adapter.lost, None)(trial.trial_id, _error(trial))

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _guarded(adapter: TuneAdapter, action: Callable[P, T], otherwise: T) -> Callable[P, T]:
    """Make calls one at a time, until the adapter is abandoned; an exception becomes its failure."""

    @functools.wraps(action)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        with adapter.lock:
            if adapter.is_abandoned:
                return otherwise
            try:
                return action(*args, **kwargs)
            except Exception as error:
                adapter.failure = adapter.failure or error
                return otherwise

    return call


def _pruned(events: list[BoundaryEvent]) -> TrialOutcome:
    """Outcome of a trial that was ended at its last report."""
    last = events[-1]
    return TrialOutcome(
        state="pruned",
        reason="pruner",
        boundaries=tuple(event.boundary for event in events),
        curve=last.curve,
        steps=last.steps,
        produced=last.produced,
        requested_tokens=last.boundary.tokens,
        cost=last.cost,
    )


def _check_code(error: str) -> None:
    told = [line for line in error.splitlines() if FOREIGN_CODE in line]
    if told:
        rule = told[-1].partition("UserError: ")[2] or told[-1].strip()
        hint = "let all of them have the same version of mbo-search, then resume; --backend local has one only"
        raise UserError([Problem(key="Ray", rule=rule, hint=hint)])


def _is_for_memory(error: str) -> bool:
    return any(sign in error for sign in _MEMORY_SIGNS)


def _actor(trial: Trial) -> str:
    """Ray's name of the worker of a trial, as its error messages spell it."""
    actor = trial.temporary_state.ray_actor
    return "" if actor is None else _compat.actor_id(actor)


def _error(trial: Trial) -> str:
    """Error of a trial, which Tune keeps in a file on the driver's side."""
    file = trial.error_file
    return Path(file).read_text(encoding="utf-8", errors="replace") if file and Path(file).exists() else ""


def _last_line(error: str) -> str:
    lines = error.strip().splitlines()
    return lines[-1].strip() if lines else "the worker ended without an outcome"
