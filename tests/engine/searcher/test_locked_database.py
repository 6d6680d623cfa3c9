"""Proves with real SQLite that another program's lock is waited for, and that an old copy is noticed and mended."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys

import optuna
import pytest

from mbo_search.engine.run import RunOptions, resume_study, run_study
from mbo_search.engine.searcher import sqlite_file
from mbo_search.errors import RunDirectoryError
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.testing.studies import tiny_study

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline() if sys.argv[2] == "ever" else __import__("time").sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
"""


class Intruder:
    """Another program that holds the database of a search while its third trial is at work."""

    def __init__(self, run, seconds):
        self.run, self.seconds, self.process = run, seconds, None

    def __call__(self, progress):
        if progress.begun < 3 or self.process is not None:
            return
        command = [sys.executable, "-c", HOLDER, str(self.run.database), self.seconds]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def end(self):
        assert self.process is not None, "the lock was to be held"
        self.process.communicate("\n")


def losses(run):
    return [(record.trial, record.arm, record.params, record.val_loss) for record in run.records()]


def told(run):
    """Values by trial number, as the database has them."""
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{run.database}")
    assert all(trial.state.is_finished() for trial in study.trials)
    return [(trial.number, trial.user_attrs["trial"], trial.value) for trial in study.trials]


@pytest.fixture(scope="module")
def study(tiny_root):
    return tiny_study(tiny_root, "search.trials=4", "control=0")


@pytest.fixture(scope="module")
def undisturbed(study, tiny_root):
    """The study with nobody in the way."""
    run = RunDirectory(tiny_root / "nobody-in-the-way")
    run_study(study, run.path, RunOptions(cache=tiny_root / "cache", backend="local"))
    return run


@pytest.fixture
def _short_waits(monkeypatch):
    """SQLite's own wait is shorter, so that a short lock outlasts it."""
    monkeypatch.setattr("mbo_search.engine.searcher.optuna_searcher.TRY_SECONDS", 0.3)


@pytest.mark.usefixtures("_short_waits")
@pytest.mark.timeout(900)
def test_a_lock_of_some_seconds_is_waited_for(study, tiny_root, tmp_path, undisturbed, caplog, monkeypatch):
    monkeypatch.setattr(sqlite_file, "_MOST_SECONDS", 600.0)
    run = RunDirectory(tmp_path / "run")
    intruder = Intruder(run, "5")
    with caplog.at_level(logging.WARNING):
        run_study(study, run.path, RunOptions(cache=tiny_root / "cache", backend="local", observe=intruder))
    intruder.end()
    assert "locked by another program; trying again" in caplog.text
    assert (losses(run), told(run)) == (losses(undisturbed), told(undisturbed))


@pytest.mark.usefixtures("_short_waits")
@pytest.mark.timeout(900)
def test_a_lock_that_does_not_end_ends_the_search_in_order_and_resume_goes_on(
    study, tiny_root, tmp_path, undisturbed, monkeypatch
):
    run = RunDirectory(tmp_path / "run")
    options = RunOptions(cache=tiny_root / "cache", backend="local")
    intruder = Intruder(run, "ever")
    with monkeypatch.context() as shorter:
        shorter.setattr(sqlite_file, "_MOST_SECONDS", 0.0)
        with pytest.raises(RunDirectoryError, match=r"database is locked.*mbo-search resume"):
            run_study(study, run.path, RunOptions(cache=options.cache, backend="local", observe=intruder))
    intruder.end()
    assert resume_study(run.path, options).num_complete == 4
    assert (losses(run), told(run)) == (losses(undisturbed), told(undisturbed))


def test_an_old_copy_put_back_is_noticed_and_filled_from_the_trials(tiny_root, tmp_path, caplog):
    run, options = RunDirectory(tmp_path / "run"), RunOptions(cache=tiny_root / "cache", backend="local")
    run_study(tiny_study(tiny_root, "search.trials=2", "control=0"), run.path, options)
    shutil.copy2(run.database, tmp_path / "old.db")
    resume_study(run.path, options, ["search.trials=4"])
    complete = told(run)
    shutil.copy2(tmp_path / "old.db", run.database)
    assert len(told(run)) < len(complete) - 1, "the copy was to be old"
    with caplog.at_level(logging.WARNING):
        resume_study(run.path, options)
    assert "an old copy" in caplog.text
    assert told(run) == complete
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        resume_study(run.path, options, ["search.trials=5"])
    assert "an old copy" not in caplog.text
    assert len(losses(run)) == 5
