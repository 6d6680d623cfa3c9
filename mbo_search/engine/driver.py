"""Driving an opened run directory: the director and its world, a backend, and what is kept of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mbo_search.data.prepare import load_prepared
from mbo_search.engine.backends.local import run_locally
from mbo_search.engine.backends.ray.cluster import Cluster
from mbo_search.engine.backends.ray.runner import run_on_ray
from mbo_search.engine.backends.slots import Backend, choose_backend, slots_of, store_limit_bytes
from mbo_search.engine.backends.stop_signals import StopRequest, throttled
from mbo_search.engine.backends.worker import TrialWorker, WorkerPlan, open_store, write_worker_plan
from mbo_search.engine.control.confirm import Confirmation
from mbo_search.engine.control.controller import SearchController
from mbo_search.engine.control.dependencies import SearchConfig, SearchDependencies
from mbo_search.engine.control.progress import Progress
from mbo_search.engine.control.pruner import BoundaryPruner
from mbo_search.engine.control.snapshot import snapshot
from mbo_search.engine.control.stopping_criteria import limits_of
from mbo_search.engine.eviction_score import expected_uses
from mbo_search.engine.open_run import OpenRun, baselines_of
from mbo_search.engine.searcher.searches import TAKES_OVER, open_searchers, search_shares
from mbo_search.engine.searcher.warm_start import read_warm_start
from mbo_search.engine.tasks.checks import check_open_tasks
from mbo_search.engine.tasks.files import read_tasks, write_task
from mbo_search.engine.tasks.task import PathNode, TrialTask
from mbo_search.errors import Problem, UserError
from mbo_search.results.records.records import Arm, TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.store.open_store import store_url
from mbo_search.store.partial_mirror import PartialMirror
from mbo_search.study.space.ladder import question_of
from mbo_search.study.spec.reference_lr import reference_lrs
from mbo_search.study.spec.schedule import Schedule
from mbo_search.system.object_storage import ObjectFolder
from mbo_search.train.execution.path import schedule_path, stretches
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.outcome import CurveRow

_NUM_MESSAGES = 20
_STATUS_EVERY_SECONDS = 10.0
_COLLECT_PAUSE = 19.0
"""Least time between two collections of the stage store, in terms of what the first one took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecorder:
    """Tasks and records in a run directory.

    Attributes:
        run: The directory.
        interrupted: The last records of trials that were stopped and are to go on, by number.
    """

    run: RunDirectory
    interrupted: dict[int, TrialRecord] = field(default_factory=dict)

    def write_task(self, task: TrialTask) -> None:
        """Keep a task, durably."""
        write_task(self.run.trials, task)

    def write_record(self, record: TrialRecord, curve: Sequence[CurveRow]) -> None:
        """Keep a record and its curve, durably; a second one of the same trial replaces them."""
        self.run.write_record(record, curve)
        self.note(record)

    def note(self, record: TrialRecord) -> None:
        """Remember a record that is on disk, if its trial is to go on."""
        self.interrupted.pop(record.trial, None)
        if record.state == "interrupted":
            self.interrupted[record.trial] = record


class SearchDriver:
    """One driver's time with a run directory, which it holds the lock of.

    Attributes:
        director: The search.
    """

    def __init__(self, opened: OpenRun, *, backend: Backend, observe: Callable[[Progress], None]) -> None:
        """Take over the directory as it is."""
        self._opened = opened
        self._observe = observe
        self._slots = slots_of(opened.study, opened.setup, backend)
        self._messages: deque[str] = deque(maxlen=_NUM_MESSAGES)
        self._plan = WorkerPlan(
            setup=opened.setup,
            store_limit_bytes=store_limit_bytes(opened.study, opened.run.path),
            store_url=opened.study.resources.store.url,
            memory_fraction=min(1.0, self._slots.gpus_per_trial) or 1.0,
            hang_seconds=60.0 * opened.study.resources.hang_minutes,
        )
        self._store = open_store(opened.run, self._plan)
        url = self._plan.store_url
        self._objects = None if url is None else ObjectFolder.at(store_url(url))
        self._mirror = None if self._objects is None else PartialMirror(self._objects)
        self._num_collected = 0
        self._collect_at = 0.0
        self._status = opened.run.status()
        self._note_status = throttled(self._write_status, _STATUS_EVERY_SECONDS)
        self._memory = RunRecorder(run=opened.run)
        self.director = self._make_director()

    def go(self, *, backend: Backend, cluster: Cluster | None, stop: StopRequest) -> None:
        """Train until nothing is left or a stop is asked for."""
        run = self._opened.run
        write_worker_plan(run, self._plan)
        try:
            if not self.director.has_more:
                return
            if choose_backend(backend, self._slots.slots, is_on_cluster=cluster is not None) == "local":
                run_locally(self.director, TrialWorker(run, self._plan), stop=stop, observe=self.observe)
            else:
                if cluster is not None:
                    self._send_data()
                run_on_ray(self.director, run, self._slots, cluster=cluster, stop=stop, observe=self.observe)
            self.observe()  # the last schedules may have been known, and told without training
            self._sweep()
        finally:
            self._write_status()

    def _send_data(self) -> None:
        """Put the data where workers on other machines find them, if the study names a store."""
        if self._objects is None:
            return
        from mbo_search.data.transfer import send_prepared

        try:
            send_prepared(load_prepared(Path(self._plan.setup.data_folder)), self._objects)
        except OSError as error:
            rule = f"cannot be written: {error}"
            raise UserError([Problem(key="resources.store.url", value=self._plan.store_url, rule=rule)]) from error

    def observe(self) -> None:
        """Show how far it is, note what it cost so far, and keep the stage store within its limit."""
        self._collect()
        self._note_status()
        self._observe(
            snapshot(
                self.director,
                study=self._opened.study.study,
                messages=self._messages,
                interrupted=tuple(self._memory.interrupted.values()),
            )
        )

    def _make_director(self) -> SearchController:
        opened = self._opened
        study, run = opened.study, opened.run
        plan = SearchConfig(
            seed=study.seed,
            limits=limits_of(study.search),
            shares=search_shares(study),
            takes_over=TAKES_OVER,
            baselines=baselines_of(study),
            pruner=BoundaryPruner() if study.search.pruner == "boundary" else None,
            confirm=_confirmation(opened),
            slots=self._slots.slots,
            ends_itself=study.search.stop == "auto",
        )
        ports = SearchDependencies(
            memory=self._memory,
            has_node=self._store.has,
            nodes_of=lambda schedule, seed, multiple: nodes_of(schedule, seed, opened.setup.scaled(multiple)),
            clock=time.time,
            log=self._log,
            report_of=self._store.report,
        )
        director = SearchController(plan, open_searchers(study, run), ports)
        tasks, records = read_tasks(run.trials), run.records()
        check_open_tasks(tasks, records, ports.nodes_of)
        for record in records:
            self._memory.note(record)
        director.books.account(read_warm_start(run).nodes)
        director.restore(
            tasks,
            records,
            next_trial=run.next_trial(),
            elapsed_seconds=_number(self._status.get("wall_seconds")),
        )
        return director

    def _log(self, line: str) -> None:
        self._messages.append(line)
        with (self._opened.run.path / "driver.log").open("a", encoding="utf-8") as file:
            print(time.strftime("%Y-%m-%d %H:%M:%S"), line, file=file)

    def _collect(self) -> None:
        """After trials have ended, make room; what is needed soon or best so far stays.

        However large or slow the store is, this takes at most a twentieth of the driver's time.
        """
        records, began = self.director.books.records, time.monotonic()
        if len(records) == self._num_collected or began < self._collect_at:
            return
        self._num_collected = len(records)
        self._store.protect(self._needed() | _best_ends(records))
        self._store.expect(expected_uses(records))
        self._store.collect()
        self._sweep()
        now = time.monotonic()
        self._collect_at = now + _COLLECT_PAUSE * (now - began)

    def _needed(self) -> set[str]:
        """Keys of the nodes on the ways of open trials."""
        books = self.director.books
        return {node.key for trial in books.open_trials for node in books.task(trial).nodes}

    def _sweep(self) -> None:
        """Remove states within stages from the store whose trials ended elsewhere than at a stage's end."""
        if self._mirror is not None:
            books = self.director.books
            ended = {node.key for record in books.records for node in books.task(record.trial).nodes}
            self._mirror.sweep(ended - self._needed())

    def _charged_tokens(self) -> dict[str, int]:
        """What each search is charged with, and the opponents together, whose states count once."""
        books, shares = self.director.books, self.director.plan.shares
        lower: tuple[Arm, ...] = tuple(arm for arm in shares if arm != "staged")
        arms: tuple[Arm, ...] = ("baseline", *shares)
        return {**{arm: books.charged_tokens((arm,)) for arm in arms}, "opponents": books.charged_tokens(lower)}

    def _write_status(self) -> None:
        busy, available = self.director.busy.seconds()
        busy += _number(self._status.get("busy_seconds"))
        available += _number(self._status.get("available_seconds"))
        self._opened.run.update_status(
            {
                "available_seconds": available,
                "busy_fraction": busy / available if available > 0 else None,
                "busy_seconds": busy,
                "charged_tokens": self._charged_tokens(),
                "ended_by": self.director.ended_by(),
                "finished": not self.director.has_more and not self.director.is_stopping,
                "wall_seconds": self.director.elapsed_seconds,
            }
        )


def _confirmation(opened: OpenRun) -> Confirmation | None:
    study = opened.study
    if study.confirm is None:
        return None
    return Confirmation(
        spec=study.confirm,
        search_seed=study.seed,
        budget=opened.setup.budget(),
        reference_lrs=reference_lrs(study),
        question=question_of(study),
    )


def nodes_of(schedule: Schedule, seed: int, setup: TrainSetup) -> tuple[PathNode, ...]:
    """Where states are kept on the way of a schedule.

    Raises:
        StudyError: If the schedule does not fit the grid, or a warm-up its stage.
    """
    path = schedule_path(schedule, setup, seed)
    return tuple(PathNode(key=stretch.key, tokens=stretch.end_tokens) for stretch in stretches(path))


def _best_ends(records: Sequence[TrialRecord]) -> set[str]:
    """Trained models that are kept: the best of each arm."""
    best: dict[str, TrialRecord] = {}
    for record in records:
        if record.val_loss is None:
            continue
        known = best.get(record.arm)
        if known is None or (known.val_loss is not None and record.val_loss < known.val_loss):
            best[record.arm] = record
    return {record.boundaries[-1].node for record in best.values()}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
