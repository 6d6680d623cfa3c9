"""What a format is asked to write, and what it answers: files, and what it could not express in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.schedule_file import ScheduleFile
from mbo_search.system.cache import user_cache

if TYPE_CHECKING:
    from mbo_search.data.prepare import PreparedData


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """A schedule that is to be written in some format, with all that a format may need of it.

    Attributes:
        run: The run directory: its study, the resolved settings of training (`run.setup()`), its records.
        trial: Number of the trial, which is complete.
        file: The schedule with its study's sections and its provenance; paths in it as seen from `out`'s folder.
        out: The file or folder to write. Further files lie beside it and begin with its name.
    """

    run: RunDirectory
    trial: int
    file: ScheduleFile
    out: Path

    def prepared(self) -> PreparedData:
        """Find the token files and the tokenizer that the trial was trained with.

        Raises:
            DataError: If they are gone and cannot be made again, or what is made now differs.
        """
        from mbo_search.results.records.run_data import same_data

        return same_data(self.run, user_cache())

    @contextmanager
    def weights(self) -> Iterator[Path]:
        """Hold the folder with the state that the trial ended with; `train.saved_state.load_model` reads it.

        Raises:
            RunDirectoryError: If the weights are no longer kept; says how to get them again.
        """
        from mbo_search.export.held_weights import held_weights

        with held_weights(self.run, self.trial) as folder:
            yield folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a format has written.

    Attributes:
        files: Every file and folder that was written; the one that was asked for first.
        remarks: What the format cannot express of this schedule, and what to do about it, a sentence each. They
            stand in the files as well, as far as those have a place for them.
        next: The sensible next step, ending in a command; empty: none.
    """

    files: tuple[Path, ...]
    remarks: tuple[str, ...] = ()
    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A schedule that was written.

    Attributes:
        trial: Number of the trial.
        form: Name of the format.
        out: The file or folder.
        files: Every file and folder that was written, `out` first.
        remarks: What the format cannot express of this schedule; nothing else is left out.
        can_be_trained: Whether `mbo-search replay` and `train` read it.
        next: The sensible next step; empty: none.
    """

    trial: int
    form: str
    out: Path
    files: tuple[Path, ...]
    remarks: tuple[str, ...]
    can_be_trained: bool
    next: str
