"""Relative paths: those in a file start in its folder, those typed or made in Python in the current folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mbo_search.study.catalogue.lookup import CORPORA
from mbo_search.study.spec.study import DataSpec


def is_corpus(source: str) -> bool:
    """Tell whether a data source is a built-in corpus, or `qa` in a language.

    >>> is_corpus("docs"), is_corpus("qa:chinese"), is_corpus("texts/")
    (True, True, False)
    """
    return source in CORPORA or source.startswith("qa:")


def absolute_path(path: str, base: Path) -> str:
    """Let a path start in a folder, unless it is absolute or begins with the home folder.

    Leading `..` are gone up at once, so that one file has one name wherever it was named from.

    >>> absolute_path("../texts", Path("/work/run"))
    '/work/texts'
    """
    folder, rest = base.resolve(), Path(path).expanduser()
    while rest.parts[:1] == ("..",):
        folder, rest = folder.parent, Path(*rest.parts[1:])
    return str(folder / rest)


def data_with_base(data: DataSpec, base: Path) -> DataSpec:
    """Make every path in a data section absolute."""
    return data_with_paths(data, lambda path: absolute_path(path, base))


def data_with_paths(data: DataSpec, change: Callable[[str], str]) -> DataSpec:
    """Write every path in a data section in another way; built-in corpora have none."""
    path = data.tokenizer.path
    update = {
        "source": tuple(source if is_corpus(source) else change(source) for source in data.source),
        "validation": data.validation
        and tuple(source if is_corpus(source) else change(source) for source in data.validation),
        "tokenizer": data.tokenizer.model_copy(update={"path": path and change(path)}),
    }
    return data.model_copy(update=update)
