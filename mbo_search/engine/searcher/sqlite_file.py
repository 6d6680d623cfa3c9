"""Whether the SQLite file of an Optuna study can be trusted to be one.

The file is derived: all that it says is in the tasks and records of the run directory, too. So one that is damaged,
foreign or of another version is set aside and made anew; one that somebody else has locked is waited for, and then
not touched.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.system.files import unique_sibling

_LOGGER = logging.getLogger(__name__)
TRY_SECONDS = 5.0
"""How long SQLite waits for a lock by itself; between two such waits a signal is heard."""

_MOST_SECONDS = 120.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
_SIBLINGS = ("-journal", "-wal", "-shm")

OpenedT = TypeVar("OpenedT")


def patiently(action: Callable[[], OpenedT]) -> OpenedT:
    """Do something with a database, again while another program holds its lock, for two minutes.

    A transaction that meets a lock is rolled back, so it can be repeated as it was.

    Raises:
        Exception: What the action raised, if it is no lock, or the last time.
    """
    deadline, pause = time.monotonic() + _MOST_SECONDS, _FIRST_PAUSE_SECONDS
    while True:
        try:
            return action()
        except Exception as error:  # the same lock has another type at every layer; anything else goes on at once
            if not _is_locked(error) or time.monotonic() > deadline:
                raise
            _LOGGER.warning("a database is locked by another program; trying again")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def opened_or_rebuilt(database: Path, opening: Callable[[], OpenedT]) -> OpenedT:
    """Open a database, or set aside what cannot be opened and open a new one.

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
            return patiently(opening)
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
        verdict, strange = patiently(lambda: _looked_at(database))
    except sqlite3.Error as error:
        _refuse_what_is_not_damage(database, error)
        return str(error)
    if verdict != ("ok",):
        return "it is damaged"
    return None if strange is None else "it holds a trigger or a view, as no study of ours does"


def _looked_at(database: Path) -> tuple[object, object]:
    """What SQLite says of the file's soundness, and a trigger or view in it; each a row or None."""
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=TRY_SECONDS)
    try:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()
        names = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('trigger', 'view')")
        return verdict, names.fetchone()
    finally:
        connection.close()


def _refuse_what_is_not_damage(database: Path, error: Exception) -> None:
    """A database that is in use, or on a disk that is full or read-only, is as sound as before."""
    text = _words(error)
    if _is_locked(error):
        raise _refusal(database, "is locked by another program", "close what has it open") from error
    if any(sign in text for sign in ("disk is full", "readonly database", "unable to open", "disk I/O")):
        raise _refusal(database, f"cannot be used: {_first_line(error)}", "check the disk") from error


def _is_locked(error: Exception) -> bool:
    return "database is locked" in _words(error) or "database table is locked" in _words(error)


def _words(error: Exception) -> str:
    return f"{error} {error.__cause__ or ''}"


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
