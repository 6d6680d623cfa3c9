"""Relative paths: those in a file start in its folder, those typed or made in Python in the current folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mbo_search.errors import Problem, StudyError
from mbo_search.study.catalogue.lookup import CORPORA
from mbo_search.study.spec.foreign.runner import RunnerSpec
from mbo_search.study.spec.sections.data import DataSpec
from mbo_search.study.spec.sections.model import AnyModel
from mbo_search.units import printable


def is_corpus(source: str) -> bool:
    """Tell whether a data source is a built-in corpus, or `qa` in a language.

    >>> is_corpus("docs"), is_corpus("qa:chinese"), is_corpus("texts/")
    (True, True, False)
    """
    return source in CORPORA or source.startswith("qa:")


def absolute_path(path: str, base: Path) -> str:
    """Let a path start in a folder, unless it is absolute or begins with a home folder.

    Leading `..` are gone up at once, so that one file has one name wherever it was named from.

    Raises:
        StudyError: If the home folder is not known, or the path cannot be written to a study file.

    >>> absolute_path("../texts", Path("/work/run"))
    '/work/texts'
    """
    try:
        folder, rest = base.resolve(), Path(path).expanduser()
    except RuntimeError as error:
        raise _bad_path(path, "names the home folder of a user whom this machine does not know") from error
    while rest.parts[:1] == ("..",):
        folder, rest = folder.parent, Path(*rest.parts[1:])
    absolute = str(folder / rest)
    try:
        absolute.encode()
    except UnicodeEncodeError as error:
        raise _bad_path(
            path, f"is {printable(absolute)}, a name that is not UTF-8, which no study file can hold"
        ) from error
    return absolute


def _bad_path(path: str, rule: str) -> StudyError:
    hint = "write the path in full, or rename the file or folder"
    return StudyError([Problem(key="", value=printable(path), rule=rule, hint=hint)])


class NamesFiles(Protocol):
    """A study, or those sections of one that name files and folders."""

    @property
    def data(self) -> DataSpec:
        """Section of the text."""

    @property
    def model(self) -> AnyModel:
        """Section of the model."""

    @property
    def runner(self) -> RunnerSpec | None:
        """Section of the trainer."""


def sections_with_base(sections: NamesFiles, base: Path) -> dict[str, object]:
    """Make every path in the sections of data, model and runner absolute; returns them by their names."""
    return sections_with_paths(sections, lambda path: absolute_path(path, base))


def sections_with_paths(sections: NamesFiles, change: Callable[[str], str]) -> dict[str, object]:
    """Write every path in the sections of data, model and runner in another way; returns them by their names."""
    return {
        "data": _data_with_paths(sections.data, change),
        "model": sections.model.with_paths(change),
        "runner": sections.runner and sections.runner.with_paths(change),
    }


def _data_with_paths(data: DataSpec, change: Callable[[str], str]) -> DataSpec:
    """Write every path in a data section in another way; built-in corpora have none."""
    path = data.tokenizer.path

    def changed(source: str) -> str:
        return source if is_corpus(source) else change(source)

    update = {
        "source": tuple(map(changed, data.source)),
        "validation": data.validation and tuple(map(changed, data.validation)),
        "weights": data.weights and {changed(source): weight for source, weight in data.weights.items()},
        "tokenizer": data.tokenizer.model_copy(update={"path": path and change(path)}),
    }
    return data.model_copy(update=update)
