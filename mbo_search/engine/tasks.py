"""Tasks: what a worker is given, one schedule with one seed, as a value and as a file.

A task is written to the run directory, as `trials/NNNN.task.json` beside the record that it will become, before
anything else happens with it. So a driver that dies at any moment leaves a record of what it had decided,
and a task without a final record was running, or about to. Whatever is read is bounded and validated, because a run
directory may come from a stranger.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from mbo_search.errors import Problem, RunDirectoryError, StudyError
from mbo_search.results.records.records import TrialRecord, TrialSpec
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.schedule import Schedule
from mbo_search.system.files import read_bounded, write_atomic
from mbo_search.train.execution.path import schedule_path, spans
from mbo_search.train.setup.setup import TrainSetup

HasNode = Callable[[str], bool]
"""True if a node is in the stage store."""

_LOGGER = logging.getLogger(__name__)
_NAME = re.compile(r"(\d{4,9})\.task\.json")
_KEY = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES = 4 * 2**20


class PathNode(Description):
    """A place on a schedule's path where the training state is kept.

    Attributes:
        key: Content address of the state.
        tokens: Charged tokens from the untrained model to here.
    """

    key: str
    tokens: int = Field(ge=0, le=10**15)


NodesOf = Callable[[Schedule, int, float], tuple[PathNode, ...]]
"""The nodes on the path of a schedule with a seed, at a multiple of the budget."""


class TrialTask(TrialSpec):
    """One schedule with one seed, to be trained.

    Attributes:
        schema_version: Version of this format.
        nodes: Where states are kept along the path, in order; the last one is the end.
        stop_after: The stage after which it ends, as a probe of that stage; None for the whole schedule.
        expected_gain: Improvement of the best loss, in nats, that the searcher expected of the best schedule that
            was left; None where it had no such opinion.
    """

    schema_version: Literal["mbo-search/task/1"] = "mbo-search/task/1"
    nodes: tuple[PathNode, ...] = Field(min_length=1)
    stop_after: int | None = Field(default=None, ge=0)
    expected_gain: float | None = None

    @property
    def end(self) -> str:
        """Key of what it trains: tasks with equal ends train the same, bit for bit."""
        return self.nodes[-1].key

    @property
    def tokens(self) -> int:
        """Charged tokens up to its end."""
        return self.nodes[-1].tokens


def nodes_of(schedule: Schedule, seed: int, setup: TrainSetup) -> tuple[PathNode, ...]:
    """Places on the path of a schedule where states are kept.

    Raises:
        StudyError: If the schedule does not fit the grid, or a warm-up its stage.
    """
    path = schedule_path(schedule, setup, seed)
    return tuple(PathNode(key=span.key, tokens=span.end_tokens) for span in spans(path))


def task_of(record: TrialRecord, nodes_of: NodesOf) -> TrialTask:
    """The task of a record whose own file is lost."""
    nodes = nodes_of(record.schedule, record.seed, record.budget_multiple)
    return TrialTask.model_validate({**record.spec_fields(), "nodes": nodes})


def first_missing(nodes: Sequence[PathNode], has_node: HasNode) -> str | None:
    """Key of the node that a trial of this path would train first; None if its end is cached."""
    missing = None
    for node in reversed(nodes):
        if has_node(node.key):
            break
        missing = node.key
    return missing


def missing_tokens(nodes: Sequence[PathNode], has_node: HasNode) -> int:
    """Charged tokens that a trial of this path has still to train."""
    cached = next((node.tokens for node in reversed(nodes) if has_node(node.key)), 0)
    return nodes[-1].tokens - cached


def up_to_stage(nodes: Sequence[PathNode], schedule: Schedule, stage: int) -> tuple[PathNode, ...]:
    """The part of a path that ends after a stage."""
    share = sum(one.share for one in schedule.stages[: stage + 1])
    end_tokens = round(share * nodes[-1].tokens)
    return tuple(node for node in nodes if node.tokens <= end_tokens)


def task_file(folder: Path, trial: int) -> Path:
    """File of a task."""
    return folder / f"{trial:04d}.task.json"


def write_task(folder: Path, task: TrialTask) -> None:
    """Write a task durably."""
    write_atomic(task_file(folder, task.trial), task.model_dump_json() + "\n")


def read_task(folder: Path, trial: int) -> TrialTask:
    """Read one task.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is not a plain file, damaged, absurdly large, or holds another trial.
    """
    path = task_file(folder, trial)
    task = TrialTask.model_validate_json(read_bounded(path, _MOST_BYTES))
    if task.trial != trial:
        raise ValueError(f"{path} holds trial {task.trial}")
    if not all(_KEY.fullmatch(node.key) for node in task.nodes):
        raise ValueError(f"{path} names a state by what is not a key")
    return task


def read_tasks(folder: Path) -> list[TrialTask]:
    """Read all tasks by trial number; damaged ones are logged and skipped."""
    names = (_NAME.fullmatch(entry.name) for entry in folder.iterdir()) if folder.is_dir() else ()
    tasks = []
    for trial in sorted(int(match[1]) for match in names if match):
        try:
            tasks.append(read_task(folder, trial))
        except (OSError, ValueError, ValidationError) as error:
            _LOGGER.warning("%s is skipped: %s", task_file(folder, trial), error)
    return tasks


def check_open_tasks(tasks: Sequence[TrialTask], records: Sequence[TrialRecord], nodes_of: NodesOf) -> None:
    """Check what is still to be trained, and records whose task is lost, against the study.

    Raises:
        RunDirectoryError: If one cannot be trained here, or names other states than its schedule leads to.
    """
    problems = [*_bad_tasks(tasks, records, nodes_of), *_bad_records(tasks, records, nodes_of)]
    if problems:
        raise RunDirectoryError(problems)


def _bad_tasks(tasks: Sequence[TrialTask], records: Sequence[TrialRecord], nodes_of: NodesOf) -> Iterator[Problem]:
    ended = {record.trial for record in records if record.state != "interrupted"}
    for task in tasks:
        if task.trial in ended:
            continue
        found = _nodes(task, nodes_of)
        last = len(task.schedule.stages) - 1
        if not isinstance(found, str):
            is_probe = task.stop_after is not None and 0 <= task.stop_after <= last
            wanted = up_to_stage(found, task.schedule, task.stop_after or 0) if is_probe else found
            found = wanted if wanted == task.nodes else "names other states than its schedule leads to here"
        if isinstance(found, str):
            yield _problem(task.trial, f"{task.trial:04d}.task.json", found)


def _bad_records(
    tasks: Sequence[TrialTask], records: Sequence[TrialRecord], nodes_of: NodesOf
) -> Iterator[Problem]:
    known = {task.trial for task in tasks}
    for record in records:
        found = () if record.trial in known else _nodes(record, nodes_of)
        if isinstance(found, str):
            yield _problem(record.trial, f"{record.trial:04d}.json", found)


def _nodes(one: TrialTask | TrialRecord, nodes_of: NodesOf) -> tuple[PathNode, ...] | str:
    """The nodes of a schedule, or why it cannot be trained."""
    try:
        return nodes_of(one.schedule, one.seed, one.budget_multiple)
    except (ArithmeticError, LookupError, StudyError, TypeError, ValueError) as error:
        return f"cannot be trained in this study: {str(error)[:200]}"


def _problem(trial: int, name: str, rule: str) -> Problem:
    return Problem(key=f"#{trial}", where=f"trials/{name}", rule=rule, hint="remove the file, or restore it")
