"""The run directory: everything that is remembered of a study, on disk, in formats that people can open.

    study.yaml           the resolved study
    setup.json           what was measured and resolved once: micro batch, precision, threads, fingerprints
    study.db             the Optuna study of the question's own search
    rungs/               NAME.db: those of the opponents' searches
    trials/              NNNN.json a record, NNNN.curve.json its learning curve, NNNN.log what it said
    stages/ scratch/     cached nodes; unfinished stretches
    ranking.csv ranking.json best.yaml report.html status.json
    lock                 held by the one driver

The driver is the only writer. Readers need no lock: every file appears whole or not at all. A folder may come from
a stranger, so whatever is read is bounded in size and validated; nothing in it is ever executed or unpickled.
"""

from __future__ import annotations

import json
import logging
import re
import stat
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.results.records.lock import LockHolder, hold, holder
from mbo_search.results.records.records import Curve, TrialRecord
from mbo_search.study.files.read_text import read_text
from mbo_search.study.files.study_file import dump_study, parse_study
from mbo_search.study.spec.base import Description
from mbo_search.study.study import Study
from mbo_search.system.files import write_atomic, write_json
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.outcome import CurveRow

_LOGGER = logging.getLogger(__name__)
_RECORD_NAME = re.compile(r"(\d{4,9})\.json")
_TRIAL_NAME = re.compile(r"(\d{4,9})\..*")
_MOST_BYTES = 16 * 2**20
"""No record, curve or study file comes near this size; a bigger one is damaged or hostile."""

DescriptionT = TypeVar("DescriptionT", bound=Description)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordScan:
    """What reading all records gave.

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

    @classmethod
    def create(cls, path: Path, study: Study, setup: TrainSetup) -> RunDirectory:
        """Make a new run directory; `study.yaml` is written last, so a half-made one is no run directory.

        Raises:
            RunDirectoryError: If the folder holds a study already, or files of somebody else, or cannot be made.
        """
        run = cls(path)
        _refuse_foreign(run)
        try:
            for folder in (path, run.trials, run.stages, run.scratch):
                folder.mkdir(parents=True, exist_ok=True)
            with run.lock():
                write_json(run.path / "setup.json", setup.model_dump(mode="json"))
                write_atomic(run.study_file, dump_study(study))
        except OSError as error:
            raise _refusal(path, f"cannot be written: {error.strerror}", "choose another --out") from error
        return run

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """Open an existing run directory and check that its study can be read.

        Raises:
            RunDirectoryError: If it is missing or no run directory.
            StudyError: If its `study.yaml` breaks the rules of study files.
        """
        if not path.is_dir():
            rule = "is no folder" if path.exists() else "does not exist"
            raise _refusal(path, rule, "give the folder that `mbo-search run` wrote, such as reports/quickstart")
        run = cls(path)
        if not run.study_file.is_file():
            raise _refusal(path, "is no run directory: it holds no study.yaml", "start one with `mbo-search run`")
        run.study()
        return run

    @property
    def study_file(self) -> Path:
        """The resolved study."""
        return self.path / "study.yaml"

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
        """Folder of unfinished stretches."""
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
        found = sorted(entry for folder in folders for entry in _entries(folder) if entry.is_symlink())
        if found:
            shown = ", ".join(str(entry.relative_to(self.path)) for entry in found[:3])
            raise _refusal(self.path, f"holds links, which are not followed: {shown}", "put the real files there")

    def study(self) -> Study:
        """Read the resolved study.

        Raises:
            RunDirectoryError: If the file cannot be read or is absurdly large.
            StudyError: If it breaks the rules of study files.
        """
        _check_regular(self.study_file)
        # Not `load_study`: results stay readable after the texts that they came from have moved.
        return parse_study(read_text(self.study_file), str(self.study_file))

    def setup_json(self) -> dict[str, Any]:
        """Read what was resolved once for the study, as JSON.

        Raises:
            RunDirectoryError: If the file is missing or damaged.
        """
        return _read_mapping(self.path / "setup.json")

    def setup(self) -> TrainSetup:
        """Read what was resolved once for the study.

        Raises:
            RunDirectoryError: If the file is missing or damaged.
        """
        return _read_description(self.path / "setup.json", TrainSetup)

    def write_record(self, record: TrialRecord, curve: Sequence[CurveRow]) -> None:
        """Write a trial's curve and then its record, each durable; a second call replaces both."""
        whole = Curve(trial=record.trial, rows=tuple(curve))
        write_atomic(self.curve_file(record.trial), whole.model_dump_json() + "\n")
        write_json(self.record_file(record.trial), record.model_dump(mode="json"))

    def scan(self) -> RecordScan:
        """Read all records, by trial number; damaged ones become problems."""
        records: list[TrialRecord] = []
        problems: list[Problem] = []
        for trial, file in self._record_files():
            try:
                records.append(_checked(_read_description(file, TrialRecord), trial, file))
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
        file = self.curve_file(trial)
        if not file.exists():
            return []
        return list(_read_description(file, Curve).rows)

    def next_trial(self) -> int:
        """A trial number that nothing in the directory has used, damaged records and logs included."""
        used = [int(match[1]) for name in _names(self.trials) if (match := _TRIAL_NAME.fullmatch(name))]
        return max(used, default=-1) + 1

    def update_status(self, values: Mapping[str, object]) -> None:
        """Replace some values of `status.json`, such as `wall_seconds`, `busy_fraction`, `finished`."""
        write_json(self.path / "status.json", {**self.status(), **values})

    def status(self) -> dict[str, Any]:
        """Read `status.json`; empty if it is missing or damaged, for it can be written anew."""
        try:
            return _read_mapping(self.path / "status.json")
        except RunDirectoryError:
            return {}

    def _record_files(self) -> list[tuple[int, Path]]:
        matches = [(name, _RECORD_NAME.fullmatch(name)) for name in _names(self.trials)]
        return sorted((int(match[1]), self.trials / name) for name, match in matches if match)


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in _entries(folder)]


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _refuse_foreign(run: RunDirectory) -> None:
    if run.path.exists() and not run.path.is_dir():
        raise _refusal(run.path, "is a file; a run directory is a folder", "choose another --out")
    names = set(_names(run.path))
    if run.study_file.name in names:
        raise _refusal(
            run.path, "holds a study already", "resume it with `mbo-search resume`, or choose another --out"
        )
    foreign = sorted(name for name in names - _HALF_MADE if not name.startswith("."))
    if foreign:
        shown = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise _refusal(
            run.path, f"holds files of something else: {shown}", "choose a new or empty folder for --out"
        )


_HALF_MADE = frozenset({"lock", "setup.json", "trials", "stages", "scratch"})


def _refusal(path: Path, rule: str, hint: str = "") -> RunDirectoryError:
    return RunDirectoryError([Problem(key="", where=str(path), rule=rule, hint=hint)])


def _check_regular(path: Path) -> None:
    """Refuse what is no plain file of a sane size, before it is opened: reading a pipe would never end."""
    try:
        status = path.stat()
    except OSError as error:
        raise _refusal(path, f"cannot be read: {error.strerror}", "restore the file from a copy") from error
    if not stat.S_ISREG(status.st_mode):
        raise _refusal(path, "is no plain file", "remove it")
    if status.st_size > _MOST_BYTES:
        rule = f"is {status.st_size} bytes large; at most {_MOST_BYTES} are plausible"
        raise _refusal(path, rule, "remove it or restore it from a copy")


def _read_bytes(path: Path) -> bytes:
    _check_regular(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise _refusal(path, f"cannot be read: {error.strerror}", "check its permissions") from error


def _read_description(path: Path, kind: type[DescriptionT]) -> DescriptionT:
    try:
        return kind.model_validate_json(_read_bytes(path))
    except ValidationError as error:
        problems = [
            Problem(key=".".join(map(str, item["loc"])), where=str(path), rule=f"is damaged: {item['msg']}")
            for item in error.errors(include_url=False, include_input=False, include_context=False)[:5]
        ]
        raise RunDirectoryError(problems) from error


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise _refusal(path, "is damaged: it is no JSON", "restore the file from a copy") from error
    if not isinstance(value, dict):
        raise _refusal(path, "is damaged: it must hold a mapping", "restore the file from a copy")
    return value


def _checked(record: TrialRecord, trial: int, file: Path) -> TrialRecord:
    if record.trial != trial:
        raise _refusal(file, f"is damaged: it holds trial {record.trial}", "give the file the number of its trial")
    return record
