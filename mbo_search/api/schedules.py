"""A schedule that a search found, with all that is needed to train it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from mbo_search.results.records.describe import describe_stage
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.schedule_file import Provenance, ScheduleFile, dump_schedule_file
from mbo_search.study.spec.schedule import Schedule
from mbo_search.system.files import write_atomic
from mbo_search.system.fragments import fragment, grid, paragraphs

if TYPE_CHECKING:
    from mbo_search.export.request import Exported


class FoundSchedule(Schedule):
    """A schedule of a run that knows where it comes from and can be saved."""

    _file: ScheduleFile = PrivateAttr()
    _run: RunDirectory = PrivateAttr()

    @classmethod
    def of(cls, file: ScheduleFile, run: RunDirectory) -> FoundSchedule:
        """Take the schedule out of a schedule file of a run."""
        found = cls(stages=file.schedule.stages)
        found._file = file
        found._run = run
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

    def export(self, out: Path | str, to: str | None = None) -> Exported:
        """Write the schedule in any format, as `mbo-search export` does.

        Args:
            out: The file or folder.
            to: The format, such as `python`; None: the one that the suffix names, else YAML.

        Returns:
            What was written, with remarks on what the format cannot express.

        Raises:
            UserError: If there is no such format, or it cannot express the schedule.
        """
        from mbo_search.export.files import Chosen, export_schedules

        return export_schedules(self._run, Chosen(trial=self.provenance.trial), to, Path(out))[0]

    def _repr_html_(self) -> str:
        """Show the stages and what was measured in a notebook."""
        origin = self.provenance
        measured = "mean over fresh seeds" if origin.confirmed else f"on seed {origin.seed}"
        rows = [(stage.name, describe_stage(stage)) for stage in self.stages]
        return fragment(
            f"#{origin.trial} ({origin.arm})",
            paragraphs(f"Validation loss {origin.val_loss:.4f}, {measured}"),
            grid(rows),
        )
