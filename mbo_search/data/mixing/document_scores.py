"""Scores of documents out of columns beside their text, and the file that keeps them for the training documents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from mbo_search.data.document import Document
from mbo_search.data.files.walk import shown
from mbo_search.data.metadata import ScoresMetadata
from mbo_search.data.mixing.curriculum import Floats
from mbo_search.data.mixing.dealing import Integers
from mbo_search.data.readers import read_rows
from mbo_search.errors import DataError, Problem
from mbo_search.system.files import sha256_file

SCORES_FILE = "train.scores"
"""Name of the file of scores; only data of studies that name columns of scores have one."""

_DTYPE = np.dtype(np.float64).newbyteorder("<")


def read_scored(file: Path, text_field: str, names: Sequence[str]) -> Iterator[Document]:
    """Read the documents of a file with columns, each with its scores.

    Raises:
        DataError: If the file cannot be read, or lacks a column, or holds something else in one; says where.
    """
    for row in read_rows(file, (text_field, *names)):
        text = row.values[text_field]
        if not isinstance(text, str | None):
            rule = f"column {text_field!r} must hold text, not {type(text).__name__}"
            raise DataError([Problem(key="data.text_field", rule=rule, where=row.name)])
        scores = tuple(_number(row.values[name], name, row.name) for name in names)
        yield Document(name=row.name, text=text or "", scores=scores)


def _number(value: object, name: str, where: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        hint = "give every document a number, or leave the column out of data.scores"
        rule = f"is no number, in column {name}"
        problem = Problem(key="data.scores", value=shown(repr(value)), rule=rule, hint=hint, where=where)
        raise DataError([problem])
    return number


def write_scores(
    folder: Path, names: Sequence[str], documents: Iterable[Document], order: Integers | None
) -> ScoresMetadata:
    """Write the scores of the training documents.

    Args:
        folder: Folder of the prepared data.
        names: Names of the scores.
        documents: The training documents.
        order: Number of each document that was written; None: all of them, in their order.
    """
    scores = np.array([document.scores for document in documents], dtype=_DTYPE).reshape(-1, len(names))
    path = folder / SCORES_FILE
    path.write_bytes((scores if order is None else scores[order]).tobytes())
    return ScoresMetadata(names=tuple(names), sha256=sha256_file(path))


def open_scores(folder: Path, metadata: ScoresMetadata, name: str) -> Floats:
    """Read a score of each training document."""
    scores = np.fromfile(folder / SCORES_FILE, dtype=_DTYPE).reshape(-1, len(metadata.names))
    return np.ascontiguousarray(scores[:, metadata.names.index(name)], dtype=np.float64)
