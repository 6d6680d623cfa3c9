"""Proves that a run directory of a stranger gets nowhere: databases that are none, tasks of any content, links."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbo_search.engine.control.stopping import StoppingCriteria
from mbo_search.engine.run import RunOptions, resume_study, run_study
from mbo_search.engine.searcher.optuna_searcher import open_study
from mbo_search.engine.tasks import read_tasks, task_file
from mbo_search.errors import RunDirectoryError
from mbo_search.testing.studies import tiny_study
from tests.helpers.damage import changed_somewhere
from tests.helpers.toy_world import ToyWorld

FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=10), children, max_size=3),
    max_leaves=6,
)


def sql(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def flip_bytes(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for position in range(3000, len(content), 97):
        content[position] ^= 0x5A
    path.write_bytes(bytes(content))


DATABASES = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no database at all"),
    "flipped": flip_bytes,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "other tables": lambda path: (path.unlink(), sql(path, "CREATE TABLE studies (a)", "CREATE TABLE trials (b)")),
    "another version": lambda path: sql(path, "UPDATE alembic_version SET version_num = 'v9.0.a'"),
    "a missing table": lambda path: sql(path, "DROP TABLE trial_values"),
    "a missing column": lambda path: sql(path, "ALTER TABLE trials DROP COLUMN state"),
    "a strange state": lambda path: sql(path, "UPDATE trials SET state = 'BETTER'"),
    "no number": lambda path: sql(path, "UPDATE trial_user_attributes SET value_json = '\"x\"'"),
    "no json": lambda path: sql(path, "UPDATE trial_user_attributes SET value_json = '{'"),
    "a foreign distribution": lambda path: sql(path, "UPDATE trial_params SET distribution_json = '{}'"),
    "a trigger": lambda path: sql(
        path, "CREATE TRIGGER evil AFTER INSERT ON trials BEGIN DELETE FROM trial_values; END"
    ),
}


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A toy search of four trials that has ended, with its database."""
    world = ToyWorld(
        folder=tmp_path_factory.mktemp("searched"),
        sqlite=True,
        control=0.0,
        limits=StoppingCriteria(trials=4),
        searcher="random",
    )
    world.run(world.controller())
    return world


@pytest.mark.parametrize("kind", DATABASES)
def test_a_damaged_or_foreign_database_is_made_again_from_the_tasks(searched, tmp_path, kind):
    before = {trial.user_attrs["trial"]: trial.value for trial in searched.databases["staged"].trials}
    shutil.copytree(searched.folder, tmp_path, dirs_exist_ok=True)
    DATABASES[kind](tmp_path / "staged.db")
    again = replace(searched, folder=tmp_path, databases={}, log=[])
    again.disk.records.update(searched.disk.records)
    assert not again.controller().has_more
    found = {trial.user_attrs["trial"]: trial.value for trial in again.databases["staged"].trials}
    assert found == before
    assert len(before) == 3


def test_a_database_that_somebody_holds_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("mbo_search.engine.searcher.sqlite_file._MOST_SECONDS", 0.1)
    open_study(tmp_path / "a.db", "a")
    content = (tmp_path / "a.db").read_bytes()
    holder = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(RunDirectoryError, match="is locked by another program"):
            open_study(tmp_path / "a.db", "a")
    finally:
        holder.close()
    assert (tmp_path / "a.db").read_bytes() == content


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/etc/passwd"), os.mkfifo, Path.mkdir])
def test_a_database_that_is_not_a_regular_file_is_refused(tmp_path, make):
    make(tmp_path / "a.db")
    with pytest.raises(RunDirectoryError, match="is not a regular file"):
        open_study(tmp_path / "a.db", "a")


@FUZZ
@given(way=st.lists(st.integers(0, 30), max_size=6), value=json_values)
def test_a_task_with_any_value_anywhere_is_taken_dropped_or_refused(toy_world, tmp_path_factory, way, value):
    folder = tmp_path_factory.mktemp("tasks")
    world = toy_world(folder=folder, control=0.0)
    world.controller().ask()
    task = world.controller().ask()
    file = task_file(folder, task.trial)
    file.write_text(json.dumps(changed_somewhere(json.loads(file.read_text()), way, value)))
    fresh = toy_world(folder=folder, control=0.0)
    with suppress(RunDirectoryError):
        assert fresh.controller().has_more


def test_tasks_that_are_pipes_links_or_endless_are_skipped_without_waiting(tmp_path):
    os.mkfifo(task_file(tmp_path, 0))
    task_file(tmp_path, 1).symlink_to("/dev/zero")
    task_file(tmp_path, 2).write_bytes(b" " * 5 * 2**20)
    task_file(tmp_path, 3).mkdir()
    task_file(tmp_path, 4).write_text("[" * 100_000)
    found: list[object] = []
    reader = threading.Thread(target=lambda: found.append(read_tasks(tmp_path)), daemon=True)
    reader.start()
    reader.join(60)
    assert found == [[]]


@pytest.fixture(scope="module")
def finished(tiny_root):
    out = tiny_root / "two-trials"
    study = tiny_study(tiny_root, "search.trials=2", "control=0")
    run_study(study, out, RunOptions(cache=tiny_root / "cache", backend="local"))
    return out


@pytest.mark.parametrize(
    "name", ["driver.log", "study.db", "trials/0000.log", "trials", "stages", "scratch", "ray"]
)
def test_a_link_where_a_driver_writes_is_refused_and_its_target_stays(finished, tiny_root, tmp_path, name):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    target = tmp_path / "precious"
    if name in ("trials", "stages", "scratch", "ray"):
        shutil.rmtree(run / name, ignore_errors=True)
        target.mkdir()
        (target / "file").write_text("mine")
    else:
        (run / name).unlink()
        target.write_text("mine")
    (run / name).symlink_to(target)
    before = sorted((path, path.read_bytes()) for path in [target, *target.rglob("*")] if path.is_file())
    with pytest.raises(RunDirectoryError, match=f"holds links, which are not followed: {name}"):
        resume_study(run, RunOptions(cache=tiny_root / "cache", backend="local"), ["search.trials=3"])
    assert before == sorted((path, path.read_bytes()) for path in [target, *target.rglob("*")] if path.is_file())


def test_an_open_task_that_does_not_belong_to_the_study_is_refused(finished, tiny_root, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    file = task_file(run / "trials", 1)
    task = json.loads(file.read_text())
    (run / "trials" / "0001.json").unlink()
    for change, message in (
        ({"nodes": [{**node, "key": "0" * 64} for node in task["nodes"]]}, "names other states"),
        ({"schedule": {"stages": [{**task["schedule"]["stages"][0], "share": 0.3}]}}, "cannot be trained"),
        ({"params": {}}, "holds parameters that are not of this study's space"),
    ):
        file.write_text(json.dumps({**task, **change}))
        with pytest.raises(RunDirectoryError, match=message):
            resume_study(run, RunOptions(cache=tiny_root / "cache", backend="local"))
