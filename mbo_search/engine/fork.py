"""Fork: a new study that reuses the compatible trials of an old run directory, and says what changed.

A directory holds one study forever; `fork` starts another one beside it. A trial is reused if the new study could
have proposed it and would train it to the same bits: its schedule lies in the new space, and every state on its
path has the same content address. Trained states are reused by hard links, so they take no space; they are never
changed in place. The old directory is only read, also while it is being driven.
"""

from __future__ import annotations

import functools
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mbo_search.data.prepare import PreparedData, prepare
from mbo_search.engine.backends.slots import num_slots
from mbo_search.engine.open_run import baselines_of, check_schedules, differences
from mbo_search.engine.retry import has_failed, reopened
from mbo_search.engine.searcher.suggest import FixedSuggest, draw
from mbo_search.engine.tasks import TrialTask, nodes_of, read_tasks, up_to_stage, write_task
from mbo_search.errors import MboError, Problem, RunDirectoryError
from mbo_search.results.records.notes import read_notes, write_notes
from mbo_search.results.records.records import Params, TrialRecord
from mbo_search.results.records.run_data import data_again, record_metadata
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.space.ladder import search_spaces
from mbo_search.study.space.space import Space, propose
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.study import Study
from mbo_search.system.files import fsync_folder, unique_sibling, write_json
from mbo_search.train.setup.branches import branch_points
from mbo_search.train.setup.resolve import numerics_here, resolve_setup
from mbo_search.train.setup.setup import RUNNER, TrainSetup, changed_numerics

_TRAINING = ("runner", "data", "model", "budget", "train", "evaluation")
"""Sections that say how a step is computed and measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forked:
    """Result of a fork: what it reused.

    Attributes:
        run: The new run directory.
        changes: Where the studies differ: key path, old value, new value; numerics included.
        reused: Numbers of the trials that were reused.
        again: Numbers of those among them that had failed by a fault that may have passed; `resume` trains them.
        left: Why each of the other trials was not, by number.
        num_nodes: Trained states that were reused.
        node_bytes: Their size.
    """

    run: Path
    changes: tuple[tuple[str, str, str], ...]
    reused: tuple[int, ...]
    again: tuple[int, ...]
    left: Mapping[int, str]
    num_nodes: int
    node_bytes: int


def fork_study(source: Path, out: Path, overrides: Sequence[str], *, cache: Path) -> Forked:
    """Start a new study with the compatible trials of an old one. Nothing is trained; `resume` does that.

    Raises:
        UserError: If either directory or the new study is wrong; nothing is written then.
    """
    if out.exists():
        raise RunDirectoryError(
            [Problem(key="", where=str(out), rule="exists already", hint="choose a new folder for the fork")]
        )
    old = RunDirectory.open(source)
    old.refuse_unreadable()
    study = old.study_with(overrides)
    check_schedules(study)
    prepared = _prepared(old, study, cache)
    setup = _setup(old, study, prepared)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = unique_sibling(out)
    try:
        new = RunDirectory.create(draft, study, setup)
        if prepared is not None:
            record_metadata(new, prepared.metadata)
        forked = _fill(old, new, study, setup)
        draft.rename(out)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    fsync_folder(out.parent)
    return replace(forked, run=out)


def _fill(old: RunDirectory, new: RunDirectory, study: Study, setup: TrainSetup) -> Forked:
    checker = _TrialChecker(old, study, setup)
    tasks = {task.trial: task for task in read_tasks(old.trials)}
    reused: list[int] = []
    again: list[int] = []
    left: dict[int, str] = {}
    for record in old.records():
        task = checker.reused(record, tasks.get(record.trial))
        if isinstance(task, str):
            left[record.trial] = task
            continue
        _copy_trial(old, new, reopened(record) if has_failed(record) else record, task)
        reused.append(record.trial)
        again += [record.trial] if has_failed(record) else []
    left |= {trial: "it had not ended" for trial in tasks if trial not in reused and trial not in left}
    _copy_notes(old, new, reused)
    num_nodes, node_bytes = _link_nodes(old.stages, new.stages) if checker.shares_nodes else (0, 0)
    changes = [*differences(old.study(), study), *_changed_numerics(old.setup(), setup)]
    forked = Forked(
        run=new.path,
        changes=tuple(changes),
        reused=tuple(reused),
        again=tuple(again),
        left=left,
        num_nodes=num_nodes,
        node_bytes=node_bytes,
    )
    write_json(new.path / "fork.json", _provenance(old, forked))
    return forked


def _provenance(old: RunDirectory, forked: Forked) -> dict[str, object]:
    return {
        "schema": "mbo-search/fork/1",
        "source": str(old.path.resolve()),
        "forked_at": time.time(),
        "changes": forked.changes,
        "reused": forked.reused,
        "again": forked.again,
        "left": {str(trial): reason for trial, reason in forked.left.items()},
        "num_nodes": forked.num_nodes,
    }


class _TrialChecker:
    """Decides which trials of an old directory are compatible with a new study."""

    def __init__(self, old: RunDirectory, study: Study, setup: TrainSetup) -> None:
        self._old = old.setup()
        self._new = setup
        self._study = study
        self._baselines: Mapping[str, Schedule] = baselines_of(study)
        self._spaces: dict[str, Space] = dict(search_spaces(study).items())
        self._numbers: dict[str, int] = dict.fromkeys(self._spaces, 0)

    @property
    def shares_nodes(self) -> bool:
        """True if the untrained model, the text and the arithmetic are the same."""
        return self._old.root_key(0) == self._new.root_key(0)

    def reused(self, record: TrialRecord, task: TrialTask | None) -> TrialTask | str:
        """The task of a trial in the new study, or why there is none."""
        if record.state == "interrupted" or task is None:
            return "it had not ended" if task is not None else "its task file is lost"
        if not task.is_search:
            return "confirm runs are trained again, from the same states where nothing changed"
        if not self.shares_nodes or self._old.windows_fingerprint != self._new.windows_fingerprint:
            return "model, text, evaluation or arithmetic changed"
        if task.seed != self._study.seed:
            return "the seed changed"
        params = self._params(task)
        if params is None:
            return "the new study would not propose it"
        return self._renumbered(task.model_copy(update={"params": params}))

    def _params(self, task: TrialTask) -> Params | None:
        """Values by which a searcher of the new study would have got the same schedule; None if it could not."""
        if task.arm == "baseline":
            return task.params if self._baselines.get(task.label) == task.schedule else None
        if task.arm not in self._spaces:
            return None
        try:
            found = draw(functools.partial(propose, self._spaces[task.arm]), _CheckedSuggest(task.params))
        except (MboError, LookupError, ValueError):
            return None
        return dict(found.params) if found.schedule == task.schedule else None

    def _renumbered(self, task: TrialTask) -> TrialTask | str:
        old, new = (nodes_of(task.schedule, task.seed, setup) for setup in (self._old, self._new))
        if old[-1].key != new[-1].key:
            return "it would be trained otherwise"
        nodes = new if task.stop_after is None else up_to_stage(new, task.schedule, task.stop_after)
        number = self._numbers.get(task.arm)
        if number is not None:
            self._numbers[task.arm] += 1
        return task.model_copy(update={"nodes": nodes, "optuna_number": number})


class _CheckedSuggest(FixedSuggest):
    """Recorded values, refused where a space does not hold them."""

    def categorical(self, name: str, choices: Sequence[str | float]) -> str | float:
        """Return the recorded value.

        Raises:
            KeyError: If there is none.
            ValueError: If it is not a choice.
        """
        value = super().categorical(name, choices)
        if value not in choices:
            raise ValueError(f"{name}: {value} is not a choice")
        return value

    def number(self, name: str, low: float, high: float, *, log: bool, step: float | None) -> float:
        """Return the recorded value.

        Raises:
            KeyError: If there is none.
            ValueError: If it is out of range.
        """
        value = super().number(name, low, high, log=log, step=step)
        if not low <= value <= high:
            raise ValueError(f"{name}: {value} is out of range")
        return value


def _setup(old: RunDirectory, study: Study, prepared: PreparedData | None) -> TrainSetup:
    """Setup of the new study: that of the old one, as far as its sections and this machine are the same.

    A runner that was passed to the old study stays named, so that the new one must be given the same.
    """
    before, setup = old.study(), old.setup()
    runner = {name: value for name, value in setup.numerics.items() if name == RUNNER}
    is_same = all(_section(before, name) == _section(study, name) for name in _TRAINING)
    if prepared is None:
        fresh = resolve_setup(study, None, num_slots(study, "auto"))
        return fresh.model_copy(update={"numerics": runner | fresh.numerics})
    if is_same and prepared.metadata.fingerprint == setup.data_fingerprint:
        changes = {
            "data_folder": str(prepared.folder.resolve()),
            "branch_points": branch_points(study),
            "numerics": numerics_here(setup) | runner,
        }
        return setup.model_copy(update=changes)
    fresh = resolve_setup(study, prepared, num_slots(study, "auto"))
    return fresh.model_copy(update={"numerics": fresh.numerics | runner})


def _prepared(old: RunDirectory, study: Study, cache: Path) -> PreparedData | None:
    """Data of the new study; where they are the old one's, its sources need not be there any more."""
    if study.runner is not None:
        return None
    if _section(old.study(), "data") == _section(study, "data"):
        return data_again(old, study, cache)
    return prepare(study.data, cache)


def _section(study: Study, name: str) -> object:
    return study.model_dump(mode="json", include={name}).get(name)


def _changed_numerics(old: TrainSetup, new: TrainSetup) -> list[tuple[str, str, str]]:
    changed = changed_numerics(old.numerics, new.numerics)
    return [(f"numerics.{name}", before or "not set", after or "not set") for name, before, after in changed]


def _copy_trial(old: RunDirectory, new: RunDirectory, record: TrialRecord, task: TrialTask) -> None:
    log = old.trial_log(record.trial)
    if log.is_file() and not log.is_symlink():
        shutil.copyfile(log, new.trial_log(record.trial))
    write_task(new.trials, task)
    changes = {"optuna_number": task.optuna_number, "params": task.params}
    curve = old.whole_curve(record.trial)
    new.write_record(record.model_copy(update=changes), curve.rows, curve.steps)


def _copy_notes(old: RunDirectory, new: RunDirectory, trials: Sequence[int]) -> None:
    notes = read_notes(old.path)
    if kept := {trial: notes[trial] for trial in trials if trial in notes}:
        write_notes(new.path, kept)


def _link_nodes(source: Path, target: Path) -> tuple[int, int]:
    """Reuse all nodes; one that the old directory's driver removes meanwhile is left out."""
    num_nodes = node_bytes = 0
    for folder in sorted(source.glob("[0-9a-f][0-9a-f]/" + "[0-9a-f]" * 64)):
        goal = target / folder.parent.name / folder.name
        goal.parent.mkdir(exist_ok=True)
        try:
            shutil.copytree(folder, goal, copy_function=_link_or_copy)
        except (OSError, shutil.Error):
            shutil.rmtree(goal, ignore_errors=True)
            continue
        num_nodes += 1
        node_bytes += sum(file.stat().st_size for file in goal.rglob("*") if file.is_file())
    return num_nodes, node_bytes


def _link_or_copy(source: str, target: str) -> None:
    if Path(source).is_symlink():
        raise OSError(f"{source} is a link")
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
