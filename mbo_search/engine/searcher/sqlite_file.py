"""SQLite file of an Optuna study: checked, waited for, or replaced.

The file is derived: all of its content is in the tasks and records of the run directory, too. So one that is
damaged, foreign or of another version is set aside and replaced; one that another program has locked is waited
for, and then left alone.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.system.files import this_user, unique_sibling, user_name

_LOGGER = logging.getLogger(__name__)
TRY_SECONDS = 5.0
"""How long SQLite waits for a lock by itself; signals are handled between two such waits."""

_MOST_SECONDS = 120.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
_SIBLINGS = ("-journal", "-wal", "-shm")

OpenedT = TypeVar("OpenedT")


def retry_on_lock(action: Callable[[], OpenedT]) -> OpenedT:
    """Run an action on a database, and retry for two minutes while another program holds its lock.

    A transaction that meets a lock is rolled back, so it can be repeated as it was.

    Raises:
        Exception: Whatever the action raised, if it is not a lock, or the last time.
    """
    deadline, pause = time.monotonic() + _MOST_SECONDS, _FIRST_PAUSE_SECONDS
    while True:
        try:
            return action()
        except Exception as error:  # a lock has another type at every layer; anything else is raised at once
            if not _is_locked(error) or time.monotonic() > deadline:
                raise
            _LOGGER.warning("a database is locked by another program; trying again")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def open_or_rebuild(database: Path, opening: Callable[[], OpenedT]) -> OpenedT:
    """Open a database, or set it aside if that fails and open a new one.

    Raises:
        RunDirectoryError: If it is a link, cannot be written, or is locked by another program.
    """
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    if database.is_symlink() or (database.exists() and not database.is_file()):
        raise _refusal(database, "is not a regular file", "remove it; it is rebuilt from trials/")
    damage = _damage(database)
    _make_as_others_may(database)
    if damage is None:
        try:
            return retry_on_lock(opening)
        except (
            SQLAlchemyError,
            OptunaError,
            sqlite3.Error,
            LookupError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            _raise_unless_damaged(database, error)
            damage = _first_line(error)
    _set_aside(database, damage)
    _make_as_others_may(database)
    try:
        return opening()
    except (SQLAlchemyError, OptunaError, sqlite3.Error) as error:
        raise _refusal(database, f"cannot be written: {_first_line(error)}", "check the disk") from error


def _make_as_others_may(database: Path) -> None:
    """Make an empty file with the permissions of any other: SQLite's own lets no group write."""
    with suppress(OSError):  # SQLite says what is wrong
        database.touch()


def _damage(database: Path) -> str | None:
    """Damage of an existing file as far as SQLite itself can tell; None if there is none."""
    if not database.exists():
        return None
    try:
        verdict, strange = retry_on_lock(lambda: _inspect(database))
    except sqlite3.Error as error:
        _raise_unless_damaged(database, error)
        return str(error)
    if verdict != ("ok",):
        return "it is damaged"
    return None if strange is None else "it contains a trigger or a view, which our studies never do"


def _inspect(database: Path) -> tuple[object, object]:
    """Result of SQLite's own check, and a trigger or view in the file; each a row or None."""
    # Nobody can read past the journal of a program that was killed in the midst of writing, but for its rollback.
    mode = "rw" if any(database.with_name(database.name + suffix).exists() for suffix in _SIBLINGS) else "ro"
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode={mode}", uri=True, timeout=TRY_SECONDS)
    try:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()
        names = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('trigger', 'view')")
        return verdict, names.fetchone()
    finally:
        connection.close()


def _raise_unless_damaged(database: Path, error: Exception) -> None:
    """Raise unless a file is damaged: one that is in use, or on a full or read-only disk, is as sound as before."""
    text = _message(error)
    if database.exists() and not os.access(database, os.R_OK | os.W_OK):
        rule = f"cannot be read and written by {this_user()}"
        raise _refusal(
            database, rule, f"let {user_name(database.stat().st_uid)}, who owns it, allow that"
        ) from error
    if _is_locked(error):
        raise _refusal(database, "is locked by another program", "close what has it open") from error
    if any(sign in text for sign in ("disk is full", "readonly database", "unable to open", "disk I/O")):
        raise _refusal(database, f"cannot be used: {_first_line(error)}", "check the disk") from error


def _is_locked(error: Exception) -> bool:
    return "database is locked" in _message(error) or "database table is locked" in _message(error)


def _message(error: Exception) -> str:
    return f"{error} {error.__cause__ or ''}"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _set_aside(database: Path, damage: str) -> None:
    aside = unique_sibling(database)
    try:
        database.rename(aside)
        for suffix in _SIBLINGS:
            database.with_name(database.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise _refusal(database, f"cannot be replaced: {error.strerror}", "check the permissions") from error
    _LOGGER.warning("%s is rebuilt from the trials (%s); the old file is %s", database, damage, aside.name)


def _refusal(database: Path, rule: str, hint: str) -> RunDirectoryError:
    return RunDirectoryError([Problem(key="", where=str(database), rule=rule, hint=hint)])
