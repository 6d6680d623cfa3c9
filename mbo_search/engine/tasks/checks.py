"""Whether the tasks of a run directory are tasks of its study, before anything is trained because of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mbo_search.engine.tasks.task import PathNode, TrialTask, up_to_stage
from mbo_search.errors import Problem, RunDirectoryError, StudyError
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.schedule import Schedule

NodesOf = Callable[[Schedule, int, float], tuple[PathNode, ...]]


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
    return Problem(key=f"trial {trial}", where=f"trials/{name}", rule=rule, hint="remove the file, or restore it")
