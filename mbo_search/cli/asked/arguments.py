"""Files and folders on a command line: what was given where something else is needed, and what to give instead.

The checks run while the command line is parsed, so that every command answers alike, and before anything heavy is
imported. What passes here may still be damaged; the reader of each format says so.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from mbo_search.errors import Problem, RunDirectoryError, StudyError, UserError
from mbo_search.extensions import ALLOW_CODE
from mbo_search.study.catalogue.suggestions import nearest_name
from mbo_search.study.examples import example_names

Kind = Literal[
    "address",
    "example",
    "file",
    "folder",
    "folder of runs",
    "missing",
    "ranking",
    "run directory",
    "schedule",
    "stage table",
    "study",
]
"""What a path turns out to be."""

_NOTHING = "nothing"
_YAML = (".yaml", ".yml")
_HEAD_BYTES = 64 * 1024
_MOST_NAMED = 4
_MOST_ENTRIES = 2000
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:/", re.IGNORECASE)
_SCHEDULE = re.compile(r"^(schedule|provenance):", re.MULTILINE)
_MODEL_FILES = ("config.json", "module.json")
"""One of these is in a folder that `train` writes: of a model of `transformers`, or of the user's own."""

_STUDY = re.compile(r"^(stages|study|data|budget|search):", re.MULTILINE)


def kind_of(path: Path) -> Kind:
    """Tell what lies at a path, from its name and its first lines."""
    if not path.exists():
        if _ADDRESS.match(str(path)):
            return "address"
        return "example" if path.parts == (path.stem,) and path.stem in example_names() else "missing"
    if path.is_dir():
        if (path / "study.yaml").is_file():
            return "run directory"
        return "folder of runs" if _runs_in(path) else "folder"
    return _kind_of_file(path)


def _kind_of_file(path: Path) -> Kind:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return "file"
    if '"mbo-search/ranking/' in head:
        return "ranking"
    if '"mbo-search/stage-table/' in head:
        return "stage table"
    if _SCHEDULE.search(head) or '"mbo-search/schedule/' in head:
        return "schedule"
    return "study" if _STUDY.search(head) else "file"


def run_folder(path: Path) -> Path:
    """Pass a run directory on.

    Raises:
        RunDirectoryError: If it is anything else; says which one was meant.
    """
    kind = kind_of(path)
    if kind == "run directory":
        return path
    raise RunDirectoryError([_problem(path, f"is not a run directory but {_what(kind)}", _run_hint(path, kind))])


def maybe_run_folder(path: Path | None) -> Path | None:
    """Pass a run directory on, or none.

    Raises:
        RunDirectoryError: If it is anything else; says which one was meant.
    """
    return None if path is None else run_folder(path)


def run_folders(paths: list[Path]) -> list[Path]:
    """Pass run directories on.

    Raises:
        RunDirectoryError: With each that is anything else.
    """
    compared_runs([str(path) for path in paths])
    return [run_folder(path) for path in paths]


def _run_hint(path: Path, kind: Kind) -> str:
    if kind == "folder of runs":
        return f"give one of them: {_few(_runs_in(path))}"
    if path.is_file() and kind_of(path.parent) == "run directory":
        return f"give the folder that holds it: {path.parent}"
    if kind == "study":
        return f"search it first: mbo-search run {_quoted(path)}"
    if kind == "example":
        return f"search it first: mbo-search run --example {_quoted(path)}"
    if kind == "missing" and (near := _near(path, _runs_in(path.parent) or _runs_in(Path("reports")))):
        return f"did you mean {near}?"
    known = _runs_in(Path("reports"))
    return f"there are: {_few(known)}" if known else "`mbo-search run` writes one, such as reports/quickstart"


def study_file(path: Path | None) -> Path | None:
    """Pass a study file on.

    Raises:
        StudyError: If it is anything else; says which one was meant.
    """
    if path is None:
        return None
    kind = kind_of(path)
    if kind in ("study", "file"):
        return path
    raise StudyError([_problem(path, f"is not a study file but {_what(kind)}", _study_hint(path, kind))])


def _study_hint(path: Path, kind: Kind) -> str:
    if kind == "example":
        return f"shipped studies are named by an option: --example {path}"
    if kind == "address":
        return "download the file, and give its path"
    if kind == "run directory":
        study = path / "study.yaml"
        return f"continue its search with `mbo-search resume {_quoted(path)}`, or search {study} anew"
    if kind == "schedule":
        name = _quoted(path)
        return f"train it with `mbo-search train {name} --out DIR`, or again with `mbo-search replay {name}`"
    studies = [
        found for found in _files(path if path.is_dir() else path.parent, *_YAML) if kind_of(found) == "study"
    ]
    if path.is_dir() and studies:
        return f"give one of its files: {_few(studies)}"
    if kind == "missing" and (near := _near(path, studies)):
        return f"did you mean {near}?"
    example = nearest_name(path.stem, example_names())
    shipped = f"; a shipped study is named by --example {example}" if example else ""
    return f"check the path; `mbo-search init` writes a study to begin with{shipped}"


def schedule_file(path: Path) -> Path:
    """Pass a schedule file on.

    Raises:
        StudyError: If it is anything else; says which one was meant.
    """
    kind = kind_of(path)
    if kind in ("schedule", "file"):
        return path
    raise StudyError([_problem(path, f"is not a schedule file but {_what(kind)}", _schedule_hint(path, kind))])


def _schedule_hint(path: Path, kind: Kind) -> str:
    folder = path if path.is_dir() else path.parent
    best = folder / "best.yaml"
    if best.is_file():
        return f"give the best schedule of the run: {best}"
    if kind == "run directory":
        return f"write one first: mbo-search export {_quoted(path)} -o best.yaml"
    if kind == "study":
        return f"`mbo-search run {_quoted(path)}` searches for schedules, and writes the best one as best.yaml"
    schedules = [found for found in _files(folder, *_YAML) if kind_of(found) == "schedule"]
    if near := _near(path, schedules):
        return f"did you mean {near}?"
    return "`mbo-search run` and `mbo-search export` write them"


def table_file(path: Path) -> Path:
    """Pass a stage table on.

    Raises:
        UserError: If it is anything else; says what a table is.
    """
    kind = kind_of(path)
    if kind in ("stage table", "file"):
        return path
    hint = "a JSON file with the losses of every schedule of a small space; benchmarks/README.md describes it"
    tables = [found for found in _files(path, ".json") if kind_of(found) == "stage table"]
    hint = f"give one of its files: {_few(tables)}" if tables else hint
    raise UserError([_problem(path, f"is not a stage table but {_what(kind)}", hint)])


def model_source(path: Path) -> Path:
    """Pass on what a model can be taken from: a run directory, a model folder or a schedule file.

    Raises:
        RunDirectoryError: If it is anything else; says which one was meant.
    """
    kind = kind_of(path)
    is_model = any((path / name).is_file() for name in _MODEL_FILES)
    if kind in ("run directory", "schedule", "file") or is_model:
        return path
    rule = f"is not a run directory, a model folder or a schedule file but {_what(kind)}"
    raise RunDirectoryError([_problem(path, rule, _run_hint(path, kind))])


def compared_runs(names: list[str]) -> list[str]:
    """Pass on names of run directories, or of single schedules as `DIR:TRIAL`.

    Raises:
        RunDirectoryError: With each that is anything else.
    """
    problems: list[Problem] = []
    for name in names:
        folder, _, trial = name.rpartition(":")
        path = Path(folder) if folder and trial.isdigit() and not Path(name).exists() else Path(name)
        try:
            run_folder(path)
        except RunDirectoryError as error:
            problems += error.problems
    if problems:
        raise RunDirectoryError(problems)
    return names


def allow_code(value: bool) -> bool:
    """Let code run that a study names, in this process and those that it starts."""
    if value:
        os.environ[ALLOW_CODE] = "1"
    return value


def output_file(path: Path | None) -> Path | None:
    """Pass on the place of a file that is to be written.

    Raises:
        UserError: If it is a folder, or lies in none.
    """
    if path is None:
        return None
    if path.is_dir():
        rule, hint = "is a folder; a file is to be written", f"name it, such as {path / 'FILE'}"
    elif not path.parent.exists():
        rule, hint = (
            "cannot be written: there is no folder for it",
            f"make it first: mkdir -p {_quoted(path.parent)}",
        )
    elif not path.parent.is_dir():
        rule, hint = "cannot be written: what should be its folder is a file", "choose another place"
    else:
        return path
    raise UserError([_problem(path, rule, hint)])


def output_place(path: Path | None) -> Path | None:
    """Pass on the place of a file or a folder that is to be written.

    Raises:
        UserError: If it lies in no folder.
    """
    return path if path is not None and path.is_dir() else output_file(path)


def output_folder(path: Path | None) -> Path | None:
    """Pass on the place of a folder that is to be written.

    Raises:
        UserError: If it is a file.
    """
    if path is not None and path.exists() and not path.is_dir():
        raise UserError([_problem(path, "is a file; a folder is to be written", "choose another name")])
    return path


def _problem(path: Path, rule: str, hint: str) -> Problem:
    if rule.endswith(_NOTHING):
        rule = "does not exist"
    return Problem(key="", where=str(path), rule=rule, hint=hint)


def _what(kind: Kind) -> str:
    return {
        "address": "an address in a network",
        "example": "the name of a shipped study",
        "file": "a file",
        "folder": "a folder of something else",
        "folder of runs": "a folder of run directories",
        "missing": _NOTHING,
        "ranking": "the ranking of a run",
        "run directory": "a run directory",
        "schedule": "a schedule file",
        "stage table": "a stage table",
        "study": "a study file",
    }[kind]


def _runs_in(folder: Path) -> list[Path]:
    """Run directories in a folder, by name."""
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))[:_MOST_ENTRIES]
        return [entry for entry in entries if (entry / "study.yaml").is_file() and (entry / "trials").is_dir()]
    except OSError:
        return []


def _files(folder: Path, *suffixes: str) -> list[Path]:
    try:
        names = [entry for entry in folder.iterdir() if entry.suffix in suffixes and entry.is_file()]
    except OSError:
        return []
    return sorted(names)[:_MOST_ENTRIES]


def _near(path: Path, candidates: Sequence[Path]) -> Path | None:
    """The candidate whose name is most like that of a path."""
    by_name = {candidate.name.lower(): candidate for candidate in candidates}
    nearest = nearest_name(path.name, by_name)
    return by_name[nearest] if nearest else None


def _quoted(path: Path) -> str:
    """A path as it is pasted into a shell."""
    return shlex.quote(str(path))


def _few(paths: Iterable[Path]) -> str:
    found = [str(path) for path in paths]
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return ", ".join(found[:_MOST_NAMED]) + more
