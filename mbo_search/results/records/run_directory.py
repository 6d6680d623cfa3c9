"""The run directory: everything that is remembered of a study, on disk, in formats that people can open.

    study.yaml           the resolved study
    setup.json           what was measured and resolved once: micro batch, precision, threads, fingerprints
    data.json            what is known of the data: documents and tokens of each split, what was dropped, and why
    study.db             the Optuna study of the question's own search
    rungs/               NAME.db: those of the opponents' searches
    trials/              NNNN.json a record, NNNN.curve.json its learning curve, NNNN.log what it said
    stages/ scratch/     cached nodes; unfinished spans
    ranking.csv ranking.json best.yaml report.html status.json
    notes.json           what people wrote down, with `mbo-search note`
    lock                 held by the one driver

The driver is the only writer. Readers need no lock: every file appears whole or not at all. A folder may come from
a stranger, so everything is read through `hostile_files`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.results.records.hostile_files import (
    check_regular,
    entries_of,
    read_description,
    read_mapping,
    refusal,
)
from mbo_search.results.records.lock import LockHolder, hold, holder
from mbo_search.results.records.records import Curve, TrialRecord
from mbo_search.study.files.files_named import with_base
from mbo_search.study.files.read_text import read_text
from mbo_search.study.files.study_file import dump_study, parse_study
from mbo_search.study.study import Study
from mbo_search.system.files import unreadable, unreadable_below, write_atomic, write_json
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.outcome import CurveRow, StepRow

_LOGGER = logging.getLogger(__name__)
_RECORD_NAME = re.compile(r"(\d{4,9})\.json")
_TRIAL_NAME = re.compile(r"(\d{4,9})\..*")


_Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordScan:
    """Result of reading all records.

    Attributes:
        records: The readable ones, by trial number.
        problems: One for each file that was skipped, and why.
    """

    records: tuple[TrialRecord, ...]
    problems: tuple[Problem, ...]


class RunDirectory:
    """One run directory. Use `create` or `open`; the constructor only names the paths.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._study: tuple[_Stamp, Study] | None = None
        self._setup: TrainSetup | None = None

    @classmethod
    def create(cls, path: Path, study: Study, setup: TrainSetup) -> RunDirectory:
        """Make a new run directory; `study.yaml` is written last, so a half-made one is not a run directory.

        Raises:
            RunDirectoryError: If the folder holds a study already, or files of something else, or cannot be made.
        """
        run = cls(path)
        _refuse_foreign(run)
        try:
            for folder in (path, run.trials, run.stages, run.scratch):
                folder.mkdir(parents=True, exist_ok=True)
            with run.lock():
                write_json(run.path / "setup.json", setup.recorded().model_dump(mode="json"))
                run._setup = setup
                run._write_study(study)
        except OSError as error:
            raise refusal(path, f"cannot be written: {error.strerror}", "choose another --out") from error
        return run

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """Open an existing run directory and check that its study can be read.

        Raises:
            RunDirectoryError: If it is missing or not a run directory.
            StudyError: If its `study.yaml` breaks the rules of study files.
        """
        if not path.is_dir():
            rule = "is not a folder" if path.exists() else "does not exist"
            raise refusal(path, rule, "give the folder that `mbo-search run` wrote, such as reports/quickstart")
        run = cls(path)
        if not run.study_file.is_file():
            raise refusal(path, "is not a run directory: it holds no study.yaml", "start one with `mbo-search run`")
        run.study()
        return run

    @property
    def study_file(self) -> Path:
        """The resolved study."""
        return self.path / "study.yaml"

    @property
    def data_json(self) -> Path:
        """What is known of the data."""
        return self.path / "data.json"

    @property
    def database(self) -> Path:
        """SQLite file with the Optuna study of the question's own search."""
        return self.path / "study.db"

    def rung_database(self, search: str) -> Path:
        """SQLite file with the Optuna study of an opponents' search."""
        return self.path / "rungs" / f"{search}.db"

    @property
    def trials(self) -> Path:
        """Folder of the records."""
        return self.path / "trials"

    @property
    def stages(self) -> Path:
        """Folder of the stage store."""
        return self.path / "stages"

    @property
    def scratch(self) -> Path:
        """Folder of unfinished spans."""
        return self.path / "scratch"

    @property
    def ranking_json(self) -> Path:
        """The ranking, complete."""
        return self.path / "ranking.json"

    @property
    def ranking_csv(self) -> Path:
        """The ranking as a table."""
        return self.path / "ranking.csv"

    @property
    def best_yaml(self) -> Path:
        """The schedule at the top of the ranking."""
        return self.path / "best.yaml"

    @property
    def report_html(self) -> Path:
        """The report."""
        return self.path / "report.html"

    def trial_log(self, trial: int) -> Path:
        """Log file of a trial."""
        return self.trials / f"{trial:04d}.log"

    def record_file(self, trial: int) -> Path:
        """Record file of a trial."""
        return self.trials / f"{trial:04d}.json"

    def curve_file(self, trial: int) -> Path:
        """Learning-curve file of a trial."""
        return self.trials / f"{trial:04d}.curve.json"

    def lock(self) -> AbstractContextManager[LockHolder]:
        """Hold the directory as its one driver.

        The kernel drops the lock when the process ends, however it ends.

        Raises:
            RunDirectoryError: On entering, if another driver holds it; says who.
        """
        return hold(self.path / "lock")

    def holder(self) -> LockHolder | None:
        """The driver that holds the directory now, or None."""
        return holder(self.path / "lock")

    def refuse_links(self) -> None:
        """Check before anything is written that every place to write to lies in the directory itself.

        A stranger's link named `driver.log` would have its target written to.

        Raises:
            RunDirectoryError: If the directory holds a link where a driver writes.
        """
        folders = (self.path, self.trials, self.stages, self.scratch)
        found = sorted(entry for folder in folders for entry in entries_of(folder) if entry.is_symlink())
        if found:
            shown = ", ".join(str(entry.relative_to(self.path)) for entry in found[:3])
            raise refusal(self.path, f"holds links, which are not followed: {shown}", "put the real files there")

    def refuse_unreadable(self) -> None:
        """Check that all that was computed can be read, so that nothing is trained again in silence.

        Raises:
            UserError: If another user's permissions do not allow it.
        """
        found = [path for folder in (self.trials, self.stages) for path in unreadable_below(folder)]
        if found:
            raise unreadable(found[0])

    def study(self) -> Study:
        """The resolved study; the file is parsed again only if it has changed.

        Raises:
            RunDirectoryError: If the file cannot be read or is absurdly large.
            StudyError: If it breaks the rules of study files.
        """
        check_regular(self.study_file)
        stamp = _stamp(self.study_file)
        if self._study is None or self._study[0] != stamp:
            self._study = stamp, self.study_with(())
        return self._study[1]

    def study_with(self, overrides: Sequence[str]) -> Study:
        """The resolved study with other settings. Texts need not exist: results stay readable without them.

        Raises:
            RunDirectoryError: If the file cannot be read or is absurdly large.
            StudyError: If it breaks the rules of study files, or an override does.
        """
        check_regular(self.study_file)
        study = parse_study(read_text(self.study_file), str(self.study_file), overrides)
        return with_base(study, self.path)

    def write_study(self, study: Study) -> None:
        """Replace the resolved study, whose limits may have changed."""
        if study != self.study():
            self._write_study(study)

    def _write_study(self, study: Study) -> None:
        write_atomic(self.study_file, dump_study(study))
        self._study = _stamp(self.study_file), study

    def setup_json(self) -> dict[str, Any]:
        """Read what was resolved once for the study, as JSON.

        Raises:
            RunDirectoryError: If the file is missing or damaged.
        """
        return read_mapping(self.path / "setup.json")

    def setup(self) -> TrainSetup:
        """Everything that was resolved once for the study, read once.

        Raises:
            RunDirectoryError: If the file is missing or damaged.
        """
        if self._setup is None:
            self._setup = read_description(self.path / "setup.json", TrainSetup)
        return self._setup

    def write_record(self, record: TrialRecord, curve: Sequence[CurveRow], steps: Sequence[StepRow] = ()) -> None:
        """Write a trial's curve and then its record, each durable; a second call replaces both."""
        whole = Curve(trial=record.trial, rows=tuple(curve), steps=tuple(steps))
        write_atomic(self.curve_file(record.trial), whole.model_dump_json() + "\n")
        write_json(self.record_file(record.trial), record.model_dump(mode="json"))

    def scan(self) -> RecordScan:
        """Read all records, by trial number; damaged ones become problems."""
        records: list[TrialRecord] = []
        problems: list[Problem] = []
        for trial, file in self._record_files():
            try:
                records.append(_checked(read_description(file, TrialRecord), trial, file))
            except RunDirectoryError as error:
                problems += error.problems
        return RecordScan(records=tuple(records), problems=tuple(problems))

    def records(self) -> list[TrialRecord]:
        """Read all readable records, by trial number; each damaged one is logged as a warning and skipped."""
        scan = self.scan()
        for problem in scan.problems:
            _LOGGER.warning("%s", problem)
        return list(scan.records)

    def curve(self, trial: int) -> list[CurveRow]:
        """Read the learning curve of a trial; empty if it has none.

        Raises:
            RunDirectoryError: If the file is damaged.
        """
        return list(self.whole_curve(trial).rows)

    def whole_curve(self, trial: int) -> Curve:
        """Read the learning curve of a trial and the course of its training; both empty if it has none.

        Raises:
            RunDirectoryError: If the file is damaged.
        """
        file = self.curve_file(trial)
        return read_description(file, Curve) if file.exists() else Curve(trial=trial)

    def trial_numbers(self) -> set[int]:
        """The trial numbers in use, those of damaged records and of running trials included."""
        return {int(match[1]) for name in _names(self.trials) if (match := _TRIAL_NAME.fullmatch(name))}

    def next_trial(self) -> int:
        """A trial number that nothing in the directory has used."""
        return max(self.trial_numbers(), default=-1) + 1

    def update_status(self, values: Mapping[str, object]) -> None:
        """Replace some values of `status.json`, such as `wall_seconds`, `busy_fraction`, `finished`."""
        write_json(self.path / "status.json", {**self.status(), **values})

    def status(self) -> dict[str, Any]:
        """Read `status.json`; empty if it is missing or damaged, because it can be written again."""
        try:
            return read_mapping(self.path / "status.json")
        except RunDirectoryError:
            return {}

    def _record_files(self) -> list[tuple[int, Path]]:
        matches = [(name, _RECORD_NAME.fullmatch(name)) for name in _names(self.trials)]
        return sorted((int(match[1]), self.trials / name) for name, match in matches if match)


def _stamp(file: Path) -> _Stamp:
    """Names a version of a file: files are replaced, never written in place."""
    status = file.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in entries_of(folder)]


def _refuse_foreign(run: RunDirectory) -> None:
    if run.path.exists() and not run.path.is_dir():
        raise refusal(run.path, "is a file; a run directory is a folder", "choose another --out")
    names = set(_names(run.path))
    if run.study_file.name in names:
        raise refusal(
            run.path, "holds a study already", "resume it with `mbo-search resume`, or choose another --out"
        )
    foreign = sorted(name for name in names - _HALF_MADE if not name.startswith("."))
    if foreign:
        shown = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise refusal(run.path, f"holds files of something else: {shown}", "choose a new or empty folder for --out")


_HALF_MADE = frozenset({"lock", "setup.json", "data.json", "trials", "stages", "scratch"})


def _checked(record: TrialRecord, trial: int, file: Path) -> TrialRecord:
    if record.trial != trial:
        raise refusal(file, f"is damaged: it holds #{record.trial}", "give the file the number of its trial")
    return record
