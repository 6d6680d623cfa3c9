"""Proves with a real Ray that slots fill, losses do not depend on the backend, and nothing is lost on the way."""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path

import optuna
import pytest

from mbo_search.engine.run import RunOptions, run_study
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.testing.studies import tiny_study
from tests.helpers.processes import family, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

RANDOM = ("search.searcher=random", "search.trials=8", "resources.workers=2", "control=0")
"""Proposals that depend on the trial number alone; with two arms, wasted tokens would change whose turn it is."""


def finish(process) -> None:
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors


def losses(run):
    return {record.trial: (record.params, record.val_loss) for record in run.records()}


def listening() -> set[str]:
    """Addresses on which anything listens, as hexadecimal `address:port`."""
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path("/proc/net", name).read_text(encoding="utf-8").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                found.add(fields[1])
    return found


def busy_workers(run: Path) -> list[int]:
    """Numbers of the worker processes that are at a trial at this moment."""
    return [pid for pid, name in family(run).items() if name.startswith("ray::ImplicitFunc.train")]


def is_loopback(address: str) -> bool:
    host = address.split(":")[0]
    return host in ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")


@pytest.fixture(scope="module")
def local(tiny_root):
    """The study in one process, to compare with."""
    out = tiny_root / "random-local"
    run_study(
        tiny_study(tiny_root, *RANDOM, "budget.tokens=40k"),
        out,
        RunOptions(cache=tiny_root / "cache", backend="local"),
    )
    return RunDirectory.open(out)


def test_both_slots_work_and_losses_equal_those_of_one_process(local, drive, tiny_root, tmp_path):
    finish(drive(tiny_study(tiny_root, *RANDOM, "budget.tokens=40k"), tiny_root, tmp_path / "run"))
    run = RunDirectory.open(tmp_path / "run")
    assert losses(run) == losses(local)
    spans = sorted((record.started_at, record.ended_at) for record in run.records())
    assert any(second[0] < first[1] for first, second in itertools.pairwise(spans))
    assert run.status()["busy_fraction"] > 0.6
    assert {record.worker != "" for record in run.records()} == {True}


def test_an_interrupted_group_saves_is_private_and_goes_on_to_the_same_end(local, drive, tiny_root, tmp_path):
    run = RunDirectory(tmp_path / "run")
    before = listening()
    process = drive(tiny_study(tiny_root, *RANDOM, "budget.tokens=40k"), tiny_root, run.path)
    wait_for(lambda: len(run.records()) >= 2 if run.trials.is_dir() else False)
    assert [address for address in listening() - before if not is_loopback(address)] == []
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    finish(process)
    assert time.monotonic() - began < 60
    states = [record.state for record in run.records()]
    assert len(states) < 8 or "interrupted" in states
    assert wait_for(lambda: not family(run.path), 30)
    finish(drive(tiny_study(tiny_root, *RANDOM, "budget.tokens=40k"), tiny_root, run.path))
    assert losses(run) == losses(local)
    assert run.status()["finished"] is True


def test_a_killed_worker_costs_one_attempt_and_nobody_else(local, drive, tiny_root, tmp_path):
    run = RunDirectory(tmp_path / "run")
    process = drive(tiny_study(tiny_root, *RANDOM, "budget.tokens=40k"), tiny_root, run.path)
    wait_for(lambda: len(run.records()) >= 1 if run.trials.is_dir() else False)
    os.kill(wait_for(lambda: busy_workers(run.path))[0], signal.SIGKILL)
    finish(process)
    assert losses(run) == losses(local)
    assert {record.state for record in run.records()} == {"complete"}
    assert max(record.attempts for record in run.records()) == 2


def test_a_killed_driver_loses_nothing_and_doubles_nothing(local, drive, tiny_root, tmp_path):
    run = RunDirectory(tmp_path / "run")
    process = drive(tiny_study(tiny_root, *RANDOM, "budget.tokens=40k"), tiny_root, run.path)
    wait_for(lambda: len(run.records()) >= 2 if run.trials.is_dir() else False)
    process.kill()
    process.communicate()
    finish(drive(tiny_study(tiny_root, *RANDOM, "budget.tokens=40k"), tiny_root, run.path))
    assert losses(run) == losses(local)
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{run.database}")
    assert all(trial.state.is_finished() for trial in study.trials)
    wasted = sum(record.cost.wasted_tokens for record in run.records())
    assert wasted < 0.1 * sum(record.cost.executed_tokens for record in run.records())
