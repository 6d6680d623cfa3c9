"""Paths in files that are meant for others: where a text lies on somebody's disk is nobody else's business."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mbo_search.study.files.paths import sections_with_paths
from mbo_search.study.files.schedule_file import ScheduleFile


def without_folders(file: ScheduleFile) -> ScheduleFile:
    """The schedule file with the bare names of its texts and its tokenizer, for a folder that may be published."""
    return _with_paths(file, lambda path: Path(path).name)


def beside(file: ScheduleFile, folder: Path) -> ScheduleFile:
    """The schedule file with paths as seen from the folder where it is written.

    Relative paths in a schedule file start in its folder. A text that shares nothing with that folder but the root
    keeps its absolute path.
    """
    folder = folder.resolve()

    def seen(path: str) -> str:
        common = os.path.commonpath([folder, path]) if Path(path).is_absolute() else "/"
        return path if common == Path(common).anchor else os.path.relpath(path, folder)

    return _with_paths(file, seen)


def _with_paths(file: ScheduleFile, change: Callable[[str], str]) -> ScheduleFile:
    sections = sections_with_paths(file.study, change)
    return file.model_copy(update={"study": file.study.model_copy(update=sections)})
