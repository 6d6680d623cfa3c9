"""Proves with a real Ray that a search outlives being stopped as a whole, and the loss of Ray's own processes."""

from __future__ import annotations

import os
import signal
import time

import pytest

from mbo_search.engine.run import RunOptions, run_study
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.testing.studies import tiny_study
from tests.engine.backends.ray.test_runner import RANDOM, finish, losses
from tests.helpers.processes import family, named, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

STOPPED_SECONDS = 12.0
HANGING_TRIAL = 4

SHORT = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "4",
}
"""Ray gives up after some seconds what it would watch for fifteen, so that the test need not be that long."""

STUDY = (*RANDOM, "budget.tokens=40k", "search.trials=6", "resources.hang_minutes=0.1")
"""A trial hangs after six seconds of its own running time without a step."""


def trials_begun(run):
    return len(list(run.trials.glob("*.log"))) if run.trials.is_dir() else 0


def test_a_search_that_is_stopped_as_a_whole_and_then_loses_its_raylet_comes_to_the_same_end(
    drive, tiny_root, tmp_path, monkeypatch
):
    study = tiny_study(tiny_root, *STUDY)
    run_study(study, tmp_path / "alone", RunOptions(cache=tiny_root / "cache", backend="local"))
    run = RunDirectory(tmp_path / "run")
    for name, value in SHORT.items():
        monkeypatch.setenv(name, value)
    process = drive(study, tiny_root, run.path)
    wait_for(lambda: trials_begun(run) >= 2)

    everybody = family(run.path)
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(STOPPED_SECONDS)
    for pid in everybody:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: len(run.records()) >= 2)
    assert process.poll() is None, "the search was to be under way when Ray's process is killed"
    assert {record.attempts for record in run.records()} == {1}, "nobody was judged for having been stopped"

    (raylet,) = named("raylet", run.path)
    os.kill(raylet, signal.SIGKILL)
    finish(process)
    assert losses(run) == losses(RunDirectory.open(tmp_path / "alone"))
    assert {record.state for record in run.records()} == {"complete"}
    assert max(record.attempts for record in run.records()) <= 2
    assert wait_for(lambda: not family(run.path), 60)


def test_a_search_that_loses_ray_s_directory_says_so_soon_and_goes_on_to_the_same_end(drive, tiny_root, tmp_path):
    study = tiny_study(tiny_root, *STUDY)
    run_study(study, tmp_path / "alone", RunOptions(cache=tiny_root / "cache", backend="local"))
    run = RunDirectory(tmp_path / "run")
    process = drive(study, tiny_root, run.path)
    wait_for(lambda: run.trials.is_dir() and len(run.records()) >= 1)
    (directory,) = named("gcs_server", run.path)
    os.kill(directory, signal.SIGKILL)
    began = time.monotonic()
    _, errors = process.communicate(timeout=400)
    if process.returncode != 0:  # else Tune was not waiting for the directory, and went on with another one
        assert time.monotonic() - began < 60
        assert f"continue with: mbo-search resume {run.path}" in errors
        assert wait_for(lambda: not family(run.path), 10)
        finish(drive(study, tiny_root, run.path))
    assert losses(run) == losses(RunDirectory.open(tmp_path / "alone"))
    assert {record.state for record in run.records()} == {"complete"}


def test_a_trial_that_hangs_ends_its_worker_is_told_of_and_the_others_go_on(drive, tiny_root, tmp_path):
    """What hangs is real: the log of the trial is a pipe that nobody reads, so opening it never returns."""
    run = RunDirectory(tmp_path / "run")
    process = drive(tiny_study(tiny_root, *STUDY), tiny_root, run.path)
    wait_for(lambda: trials_begun(run) >= 2)
    os.mkfifo(run.trial_log(HANGING_TRIAL))
    finish(process)
    found = {record.trial: record for record in run.records()}
    hung = found.pop(HANGING_TRIAL)
    assert (hung.state, hung.reason) == ("failed", "hung")
    assert hung.message is not None
    assert "no step for" in hung.message
    assert "backends/ray/worker.py" in hung.message, "the stacks say where it hung"
    assert {(record.state, record.attempts) for record in found.values()} == {("complete", 1)}
