"""What a run leaves: the numbers of `result.json`, or of the last line of its output that is a JSON object."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mbo_search.system.files import read_bounded

RESULT_FILE = "result.json"
"""Name of the file that a run leaves in its folder."""

_MOST_BYTES = 4 * 2**20
_TAIL_BYTES = 64 * 2**10
_MOST_NUMBERS = 2000
_MOST_DEPTH = 8


class NoResultError(Exception):
    """A run left nothing that can be read; the message says what."""


def read_result(folder: Path, log: Path) -> dict[str, float]:
    """Read the numbers of a run by name, NaN and infinite ones included.

    Args:
        folder: Where the run may have left `result.json`.
        log: Its output.

    Raises:
        NoResultError: If there is no result, or it is no JSON object with a number.
    """
    file = folder / RESULT_FILE
    return numbers_of(file) if file.exists() else _numbers(_last_object(log), "the last line of its output")


def numbers_of(file: Path) -> dict[str, float]:
    """Read the numbers of a result file.

    Raises:
        NoResultError: If it cannot be read, or is no JSON object with a number.
    """
    try:
        document = json.loads(read_bounded(file, _MOST_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise NoResultError(f"{file.name} cannot be read: {error}") from error
    return _numbers(document, file.name)


def _last_object(log: Path) -> object:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in reversed(lines):
        text = line.strip()
        if text.startswith("{"):
            try:
                return json.loads(text)
            except (ValueError, RecursionError):
                continue
    raise NoResultError(f"it left no {RESULT_FILE} and printed no line that is a JSON object")


def _numbers(document: object, where: str) -> dict[str, float]:
    if not isinstance(document, dict):
        raise NoResultError(f"{where} is no JSON object")
    found = dict(_flat(document, "", 0))
    if not found or len(found) > _MOST_NUMBERS:
        raise NoResultError(f"{where} holds {'no number' if not found else f'more than {_MOST_NUMBERS} numbers'}")
    return found


def _flat(values: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, dict) and depth < _MOST_DEPTH:
            yield from _flat(value, f"{prefix}{name}.", depth + 1)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", _as_float(value)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf
