"""Reading files that may come from a stranger: bounded in size, validated, never executed or unpickled."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.study.spec.base import Description
from mbo_search.system.files import unreadable

_MOST_BYTES = 16 * 2**20
"""No record, curve or study file comes near this size; a bigger one is damaged or hostile."""

_LONE_SURROGATE = re.compile(rb"\\u[dD][cC][89a-fA-F]")
"""How JSON spells a byte of a file's name that is not UTF-8."""

DescriptionT = TypeVar("DescriptionT", bound=Description)


def entries_of(folder: Path) -> list[Path]:
    """Entries of a folder; none if it is not there."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def refusal(path: Path, rule: str, hint: str = "") -> RunDirectoryError:
    """The error of a file or folder that breaks a rule."""
    return RunDirectoryError([Problem(key="", where=str(path), rule=rule, hint=hint)])


def check_regular(path: Path) -> None:
    """Refuse anything but a plain file of a sane size before it is opened: reading a pipe would never end.

    Raises:
        RunDirectoryError: If it is something else.
    """
    try:
        status = path.stat()
    except PermissionError as error:
        raise _forbidden(path) from error
    except OSError as error:
        raise refusal(path, f"cannot be read: {error.strerror}", "restore the file from a copy") from error
    if not stat.S_ISREG(status.st_mode):
        raise refusal(path, "is not a plain file", "remove it")
    if status.st_size > _MOST_BYTES:
        rule = f"is {status.st_size} bytes large; at most {_MOST_BYTES} are plausible"
        raise refusal(path, rule, "remove it or restore it from a copy")


def _read_bytes(path: Path) -> bytes:
    check_regular(path)
    try:
        return path.read_bytes()
    except PermissionError as error:
        raise _forbidden(path) from error
    except OSError as error:
        raise refusal(path, f"cannot be read: {error.strerror}", "check its permissions") from error


def _forbidden(path: Path) -> RunDirectoryError:
    return RunDirectoryError(unreadable(path).problems)


def read_description(path: Path, kind: type[DescriptionT]) -> DescriptionT:
    """Read a description.

    Raises:
        RunDirectoryError: If the file is missing or damaged.
    """
    content = _read_bytes(path)
    try:
        return _validated(content, kind)
    except ValidationError as error:
        problems = [
            Problem(key=".".join(map(str, item["loc"])), where=str(path), rule=f"is damaged: {item['msg']}")
            for item in error.errors(include_url=False, include_input=False, include_context=False)[:5]
        ]
        raise RunDirectoryError(problems) from error


def _validated(content: bytes, kind: type[DescriptionT]) -> DescriptionT:
    """Read quickly; names of files that are no Unicode, which only Python's own reader accepts, slowly."""
    try:
        return kind.model_validate_json(content)
    except ValidationError:
        if _LONE_SURROGATE.search(content) is None:
            raise
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return kind.model_validate_json(content)
    return kind.model_validate(value)


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a JSON mapping.

    Raises:
        RunDirectoryError: If the file is missing or damaged.
    """
    try:
        value = json.loads(_read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise refusal(path, "is damaged: it is not JSON", "restore the file from a copy") from error
    if not isinstance(value, dict):
        raise refusal(path, "is damaged: it must hold a mapping", "restore the file from a copy")
    return value
