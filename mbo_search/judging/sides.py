"""The two sides of a judgement: a command, an exported schedule, or a folder of results."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mbo_search.errors import Problem, StudyError, UserError, command_line
from mbo_search.judging.pairs import RunRecord
from mbo_search.judging.results import RESULT_FILE, NoResultError, numbers_of
from mbo_search.judging.running import finished_run
from mbo_search.study.spec.base import Description
from mbo_search.system.cache import user_cache
from mbo_search.system.files import read_json, sha256_file
from mbo_search.system.same_code import python_path

SideName = Literal["baseline", "candidate"]

_SCHEDULES = (".yaml", ".yml", ".json")
_NUMBER = re.compile(r"(\d+)(?!.*\d)")
_MOST_SEED = 2**31
_MOST_HASHED_BYTES = 64 * 2**20
_START = "MBO_START"
"""Variable with the folder in which the judgement was started."""


class SideIdentity(Description):
    """What makes a side the one that it is; a folder of runs belongs to two of them.

    Attributes:
        kind: What it is.
        words: Program and arguments, or the path.
        files: Hashes of the files that it names.
    """

    kind: Literal["command", "schedule", "folder"]
    words: tuple[str, ...]
    files: dict[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSide:
    """A side.

    Attributes:
        name: Which one.
        text: As the user wrote it.
        identity: What makes it the one that it is.
        command: Program and arguments of its runs; empty for results.
        environment: Variables that its runs need.
        used_seeds: Seeds that it was chosen by, which say too much good of it.
        results: Runs that are there already, by seed; None where it is run.
    """

    name: SideName
    text: str
    identity: SideIdentity
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    used_seeds: frozenset[int] = frozenset()
    results: Mapping[int, RunRecord] | None = None

    def words(self, seed: int) -> tuple[str, ...]:
        """Program and arguments for a seed."""
        return tuple(word.replace("{seed}", str(seed)) for word in self.command)

    def variables(self, seed: int) -> dict[str, str]:
        """Variables for a seed."""
        return {**self.environment, "MBO_SEED": str(seed)}


def open_side(text: str, name: SideName, start: Path) -> JudgedSide:
    """Find out what a side is.

    Args:
        text: A command line, the path of a schedule file or of a folder of results, or a confirmed schedule of a
            run directory, as `DIR` or `DIR:TRIAL`.
        name: Which side.
        start: The folder that relative paths start in.

    Raises:
        UserError: If it is nothing that can be judged.
    """
    path = start / text.strip()
    try:
        run, trial = _run_of(path)
        if run is not None:
            return _run_side(text, name, run, trial)
        if path.is_dir():
            return _folder_side(text, name, path)
        if path.suffix in _SCHEDULES and path.is_file():
            return _schedule_side(text, name, path)
    except OSError:
        pass  # too long for a name: a command
    return _command_side(text, name, start)


def _run_of(path: Path) -> tuple[Path | None, int | None]:
    """The run directory that a path names, alone or with a trial as `DIR:TRIAL`; None if it names none."""
    folder, _, trial = path.name.rpartition(":")
    if folder and trial.isdigit() and (path.parent / folder / "study.yaml").is_file():
        return path.parent / folder, int(trial)
    return (path, None) if (path / "study.yaml").is_file() else (None, None)


def _command_side(text: str, name: SideName, start: Path) -> JudgedSide:
    try:
        given = shlex.split(text)
    except ValueError as error:
        raise _refusal(name, text, f"is no command line: {error}", "close the quotes") from error
    if not given:
        raise _refusal(name, text, "is empty", "give a command, a schedule file or a folder of results")
    if len(given) == 1 and given[0].endswith(_SCHEDULES):
        raise _refusal(name, text, "does not exist", "check the path of the schedule file")
    program = shutil.which(given[0]) or shutil.which(str(start / given[0]))
    if program is None:
        hint = "check its name; commands are run without a shell, so write sh -c '...' for shell syntax"
        raise _refusal(name, text, f"cannot be run: there is no program {given[0]}", hint)
    words = (str(start / program), *(_placed(word, start) for word in given[1:]))
    files = dict(_hashes((_placed(given[0], start), *words[1:])))
    identity = SideIdentity(kind="command", words=words, files=files)
    return JudgedSide(name=name, text=text, identity=identity, command=words, environment={_START: str(start)})


def _placed(word: str, start: Path) -> str:
    """A word that names a file, also behind `--option=`, with its whole path, for runs have folders of their own.

    What has neither a slash nor a dot in it may be the name of anything, and stays.
    """
    option, separator, value = word.partition("=") if word.startswith("-") else ("", "", word)
    if value.startswith("-") or Path(value).is_absolute() or not {"/", "."} & set(value):
        return word
    path = start / value
    try:
        return f"{option}{separator}{path}" if path.exists() else word
    except OSError:
        return word


def _hashes(words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for word in words:
        path = Path(word.partition("=")[2] if word.startswith("-") else word)
        if path.is_absolute() and path.is_file() and path.stat().st_size <= _MOST_HASHED_BYTES:
            yield str(path), sha256_file(path)


def _schedule_side(text: str, name: SideName, path: Path) -> JudgedSide:
    from mbo_search.study.files.schedule_file import load_schedule_file

    file = load_schedule_file(path)
    place = str(path.absolute())
    return JudgedSide(
        name=name,
        text=text,
        identity=SideIdentity(kind="schedule", words=(place,), files={place: sha256_file(path)}),
        command=(sys.executable, "-P", "-m", "mbo_search.judging.train_schedule", place),
        environment={"PYTHONPATH": python_path()},
        used_seeds=frozenset({file.provenance.seed}),
    )


def _folder_side(text: str, name: SideName, folder: Path) -> JudgedSide:
    files = dict(_result_files(folder))
    if not files:
        rule = f"holds no results: no file such as seed-1/{RESULT_FILE} or seed-1.json"
        raise _refusal(name, text, rule, "name each result by its seed")
    return _results_side(text, name, folder, {seed: _read(seed, file) for seed, file in sorted(files.items())})


def _run_side(text: str, name: SideName, folder: Path, trial: int | None) -> JudgedSide:
    from mbo_search.judging.confirmed_runs import NotConfirmedError, confirmed_runs

    try:
        return _results_side(text, name, folder, confirmed_runs(folder, trial))
    except NotConfirmedError as error:
        hint = f"train it on fresh seeds: {command_line('confirm', folder)}"
        raise _refusal(name, text, f"holds {error}", hint) from error


def _results_side(text: str, name: SideName, folder: Path, results: Mapping[int, RunRecord]) -> JudgedSide:
    digest = hashlib.sha256(repr(sorted((seed, run.values) for seed, run in results.items())).encode()).hexdigest()
    identity = SideIdentity(kind="folder", words=(str(folder.absolute()),), files={"results": digest})
    return JudgedSide(name=name, text=text, identity=identity, results=results)


def _result_files(folder: Path) -> Iterator[tuple[int, Path]]:
    """Result files by the last number in the name of the file or of its folder; those of one seed, files last."""
    for entry in sorted(folder.iterdir(), key=lambda entry: (entry.is_file(), entry.name)):
        file = entry / RESULT_FILE if entry.is_dir() else entry
        number = _NUMBER.search(entry.name if entry.is_dir() else entry.stem)
        if number and file.suffix == ".json" and file.is_file() and int(number[1]) < _MOST_SEED:
            yield int(number[1]), file


def _read(seed: int, file: Path) -> RunRecord:
    """A result, or the record of a run of an earlier judgement."""
    with suppress(OSError, ValueError):
        return RunRecord.model_validate(read_json(file))
    try:
        return finished_run(seed, numbers_of(file))
    except NoResultError as error:
        return RunRecord(seed=seed, state="failed", message=str(error))


def check_schedules(sides: Sequence[JudgedSide]) -> None:
    """Prepare the text of schedules once, and refuse two that are judged on different text.

    Raises:
        StudyError: If their losses cannot be compared.
        DataError: If their text cannot be read.
    """
    from mbo_search.results.records.run_data import prepared_data
    from mbo_search.study.files.schedule_file import load_schedule_file

    files = [load_schedule_file(Path(side.identity.words[0])) for side in sides if side.identity.kind == "schedule"]
    data = [prepared_data(file.study, user_cache()) for file in files]
    prints = {None if one is None else one.metadata.fingerprint for one in data}
    differing = [
        *(["text or tokenizer"] if len(prints) > 1 else []),
        *(["evaluation"] if files and files[0].study.evaluation != files[-1].study.evaluation else []),
    ]
    if differing:
        rule = f"is judged otherwise than the baseline: another {' and another '.join(differing)}"
        hint = "judge schedules of studies on the same text, or give two commands"
        raise StudyError([Problem(key="--candidate", value=sides[-1].text, rule=rule, hint=hint)])


def _refusal(name: SideName, text: str, rule: str, hint: str) -> UserError:
    return UserError([Problem(key=f"--{name}", value=text or "''", rule=rule, hint=hint)])
