"""Tables of an Optuna storage in a new SQLite file.

Optuna takes a tenth of a second to make them, and a search opens a storage for each of its sides; so it makes them
once in memory, and files get a copy.
"""

from __future__ import annotations

import functools
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna


def write_tables(database: Path, timeout_seconds: float) -> None:
    """Write the tables into an empty file, in one transaction.

    Args:
        database: The file.
        timeout_seconds: How long to wait for a lock.

    Raises:
        sqlite3.Error: If it cannot be written, or stays locked.
    """
    with closing(sqlite3.connect(database, timeout=timeout_seconds)) as connection:
        connection.executescript(_tables())


@functools.cache
def _tables() -> str:
    storage = optuna.storages.RDBStorage("sqlite://")
    connection = storage.engine.raw_connection()
    try:
        lines = sqlite3.Connection.iterdump(connection.driver_connection)  # type: ignore[arg-type]
        return "\n".join(lines)
    finally:
        connection.close()
        storage.engine.dispose()
