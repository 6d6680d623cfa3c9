"""A run directory seen from outside: what state it is in, how far it is, and whether anything is new.

Nothing is written and no lock is taken. Every file of a run directory appears whole or not at all, so a look in
between two writes shows the moment before; what cannot be read is shown as that.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mbo_search.errors import UserError
from mbo_search.results.records.driving import is_driven
from mbo_search.results.records.hostile_files import read_description
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.serve.shelf import is_run

RunState = Literal["preparing", "running", "ended", "stopped", "unreadable"]

_VOLATILE = frozenset({"session.json", "status.json", "storage.json", "worker.json", "ranking.json"})
"""Files that change without anything new in the page."""

_RECORD = re.compile(r"(repeats/[^/]+/)?trials/\d{4,9}\.json")
_Stamp = tuple[str, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How a run was at one moment.

    Attributes:
        state: Whether a driver is at work, and how the last one ended.
        version: Changes whenever the page would.
        study: Name of the study; empty while it is not known.
        searched: Schedules of the search that have ended, probes left out.
        planned: Schedules that the study allows; None without such a limit.
        judged: Runs on fresh seeds that have ended.
        open: Trials that are running or waiting.
        updated: When the last trial ended, in seconds since the epoch; None before the first.
    """

    state: RunState
    version: str
    study: str = ""
    searched: int = 0
    planned: int | None = None
    judged: int = 0
    open: int = 0
    updated: float | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing new is to be expected."""
        return self.state in ("ended", "stopped", "unreadable")


@dataclass(frozen=True, slots=True)
class _Counted:
    stamp: _Stamp
    is_search: bool
    is_whole: bool
    is_open: bool


class WatchedRun:
    """Looks at one run directory again and again; a record is read only once.

    Attributes:
        path: The run directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._directory = RunDirectory(path)
        self._counted: dict[str, _Counted] = {}

    def look(self) -> Snapshot:
        """See how the run is now."""
        stamps = sorted(_stamps(self.path))
        driven = is_driven(self.path)
        finished = self._directory.status().get("finished") is True
        version = _digest([stamps, driven, finished])
        if not is_run(self.path):
            return Snapshot(state="preparing", version=version)
        try:
            study = self._directory.study()
        except UserError:
            return Snapshot(state="unreadable", version=version)
        state: RunState = "running" if driven else "ended" if finished else "stopped"
        planned = None if study.search.trials is None else study.search.trials * study.search.repeats
        return self._count(Snapshot(state=state, version=version, study=study.study, planned=planned), stamps)

    def _count(self, seen: Snapshot, stamps: list[_Stamp]) -> Snapshot:
        """Count the trials, those of independent repeats included."""
        records = [stamp for stamp in stamps if _RECORD.fullmatch(stamp[0])]
        self._counted = {stamp[0]: counted for stamp in records if (counted := self._counted_of(stamp)) is not None}
        known = self._counted.values()
        ended = {name for name, counted in self._counted.items() if not counted.is_open}
        tasks = {stamp[0].replace(".task.json", ".json") for stamp in stamps if stamp[0].endswith(".task.json")}
        return replace(
            seen,
            searched=sum(one.is_search and one.is_whole for one in known),
            judged=sum(not one.is_search and not one.is_open for one in known),
            open=len(tasks - ended),
            updated=max((one.stamp[1] / 1e9 for one in known), default=None),
        )

    def _counted_of(self, stamp: _Stamp) -> _Counted | None:
        known = self._counted.get(stamp[0])
        if known is not None and known.stamp == stamp:
            return known
        try:
            record = read_description(self.path / stamp[0], TrialRecord)
        except UserError:
            return None
        is_open = record.state == "interrupted"
        return _Counted(stamp, record.is_search, record.reason != "probe" and not is_open, is_open)


def _stamps(folder: Path) -> Iterator[_Stamp]:
    """Versions of the files that a page is made of."""
    yield from _stamps_of(folder, "")
    yield from _stamps_of(folder / "trials", "trials/")
    for repeat in sorted((folder / "repeats").glob("*")):
        yield from _stamps_of(repeat / "trials", f"repeats/{repeat.name}/trials/")


def _stamps_of(folder: Path, prefix: str) -> Iterator[_Stamp]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.name in _VOLATILE or not entry.name.endswith((".json", ".yaml")) or entry.name.startswith("."):
            continue
        try:
            status = entry.stat()
        except OSError:
            continue  # replaced at this very moment
        yield prefix + entry.name, status.st_mtime_ns, status.st_size


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode(errors="surrogateescape")).hexdigest()[:16]
