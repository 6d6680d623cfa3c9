"""A schedule that a search found, with all that is needed to train it again."""

from __future__ import annotations

from pathlib import Path

from pydantic import PrivateAttr

from mbo_search.study.files.schedule_file import Provenance, ScheduleFile, dump_schedule_file
from mbo_search.study.spec.schedule import Schedule
from mbo_search.system.files import write_atomic


class FoundSchedule(Schedule):
    """A schedule of a run that knows where it comes from and can be saved."""

    _file: ScheduleFile = PrivateAttr()

    @classmethod
    def of(cls, file: ScheduleFile) -> FoundSchedule:
        """Take the schedule out of a schedule file."""
        found = cls(stages=file.schedule.stages)
        found._file = file
        return found

    @property
    def provenance(self) -> Provenance:
        """The trial, its losses and the versions that trained it."""
        return self._file.provenance

    def save(self, path: Path | str) -> Path:
        """Write the schedule to a file that `mbo-search replay` and `train` read.

        Args:
            path: The file to write (YAML); an existing one is replaced.

        Returns:
            The path.
        """
        write_atomic(Path(path), dump_schedule_file(self._file))
        return Path(path)
