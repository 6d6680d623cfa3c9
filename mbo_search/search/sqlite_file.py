"""Whether the SQLite file of an Optuna study can be trusted to be one.

The file is derived: all that it says is in the tasks and records of the run directory, too. So one that is damaged,
foreign or of another version is set aside and made anew; one that somebody else has locked is not touched.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.files import unique_sibling

__all__ = ["opened_or_rebuilt"]

_LOGGER = logging.getLogger(__name__)
_WAIT_SECONDS = 60.0
_SIBLINGS = ("-journal", "-wal", "-shm")

OpenedT = TypeVar("OpenedT")


def opened_or_rebuilt(database: Path, opening: Callable[[], OpenedT]) -> OpenedT:
    """Open a database, or set aside what cannot be opened and open a new one.

    Args:
        database: SQLite file; it may be missing.
        opening: Opens it, makes it if it is missing, and reads all of it.

    Raises:
        RunDirectoryError: If it is a link, cannot be written, or is locked by another program.
    """
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    if database.is_symlink() or (database.exists() and not database.is_file()):
        raise _refusal(database, "is no plain file", "remove it; it is made again from trials/")
    trouble = _trouble(database)
    if trouble is None:
        try:
            return opening()
        except (SQLAlchemyError, OptunaError, LookupError, RuntimeError, TypeError, ValueError) as error:
            _refuse_what_is_not_damage(database, error)
            trouble = _first_line(error)
    _set_aside(database, trouble)
    try:
        return opening()
    except (SQLAlchemyError, OptunaError) as error:
        raise _refusal(database, f"cannot be written: {_first_line(error)}", "check the disk") from error


def _trouble(database: Path) -> str | None:
    """What is wrong with a file that is there, as far as SQLite itself can tell; None if nothing is."""
    if not database.exists():
        return None
    try:
        connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT_SECONDS)
        try:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()
            strange = connection.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('trigger', 'view')"
            ).fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        _refuse_what_is_not_damage(database, error)
        return str(error)
    if verdict is None or verdict[0] != "ok":
        return "it is damaged"
    return None if strange is None else "it holds a trigger or a view, as no study of ours does"


def _refuse_what_is_not_damage(database: Path, error: Exception) -> None:
    """A database that is in use, or on a disk that is full or read-only, is as sound as before."""
    text = f"{error} {error.__cause__ or ''}"
    if "is locked" in text:
        raise _refusal(database, "is locked by another program", "close what has it open") from error
    if any(sign in text for sign in ("disk is full", "readonly database", "unable to open", "disk I/O")):
        raise _refusal(database, f"cannot be used: {_first_line(error)}", "check the disk") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _set_aside(database: Path, trouble: str) -> None:
    aside = unique_sibling(database)
    try:
        database.rename(aside)
        for suffix in _SIBLINGS:
            database.with_name(database.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise _refusal(database, f"cannot be replaced: {error.strerror}", "check the permissions") from error
    _LOGGER.warning("%s is made again from the trials (%s); the old file is %s", database, trouble, aside.name)


def _refusal(database: Path, rule: str, hint: str) -> RunDirectoryError:
    return RunDirectoryError([Problem(key="", where=str(database), rule=rule, hint=hint)])
