"""Proves that a database whose writer was killed in the midst of a transaction is read as it was before."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

from mbo_search.engine.searcher.sqlite_file import open_or_rebuild


def test_a_journal_that_a_killed_writer_left_is_rolled_back(tmp_path):
    database = tmp_path / "study.db"
    with closing(sqlite3.connect(tmp_path / "writing.db", isolation_level=None)) as writer:
        writer.execute("CREATE TABLE rows (text TEXT)")
        writer.execute("INSERT INTO rows VALUES ('before')")
        writer.execute(
            "PRAGMA cache_size = 1"
        )  # so that pages, and the journal before them, reach the disk at once
        writer.execute("BEGIN")
        writer.executemany("INSERT INTO rows VALUES (?)", [("x" * 1000,)] * 50)
        writer.execute("UPDATE rows SET text = 'after'")
        for suffix in ("", "-journal"):
            shutil.copy(tmp_path / f"writing.db{suffix}", tmp_path / f"study.db{suffix}")

    def rows() -> list[tuple[str]]:
        with closing(sqlite3.connect(database)) as reader:
            return reader.execute("SELECT text FROM rows").fetchall()

    assert open_or_rebuild(database, rows) == [("before",)]
    assert [path.name for path in tmp_path.glob(".study*")] == []
