"""Relative paths: those in a file start in its folder, those typed or made in Python in the current folder."""

from __future__ import annotations

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
    """Let a path start in a folder, unless it is absolute or begins with the home folder."""
    return str(base.resolve() / Path(path).expanduser())


def data_with_base(data: DataSpec, base: Path) -> DataSpec:
    """Make every path in a data section absolute."""
    path = data.tokenizer.path
    tokenizer = data.tokenizer.model_copy(update={"path": path and absolute_path(path, base)})
    update = {
        "source": tuple(_source_with_base(source, base) for source in data.source),
        "validation": data.validation and tuple(_source_with_base(source, base) for source in data.validation),
        "tokenizer": tokenizer,
    }
    return data.model_copy(update=update)


def _source_with_base(source: str, base: Path) -> str:
    return source if is_corpus(source) else absolute_path(source, base)
