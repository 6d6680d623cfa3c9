"""Tasks on disk: `trials/NNNN.task.json` beside the record that it will become.

A task without a final record was running, or about to, when its driver ended. Whatever is read is bounded and
validated, for a run directory may come from a stranger.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from pydantic import ValidationError

from mbo_search.engine.tasks.task import TrialTask
from mbo_search.system.files import read_bounded, write_atomic

_LOGGER = logging.getLogger(__name__)
_NAME = re.compile(r"(\d{4,9})\.task\.json")
_KEY = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES = 4 * 2**20


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
        ValueError: If it is no plain file, damaged, absurdly large, or holds another trial.
    """
    path = task_file(folder, trial)
    task = TrialTask.model_validate_json(read_bounded(path, _MOST_BYTES))
    if task.trial != trial:
        raise ValueError(f"{path} holds trial {task.trial}")
    if not all(_KEY.fullmatch(node.key) for node in task.nodes):
        raise ValueError(f"{path} names a state by what is no key")
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
