"""Proves with Ray's real memory monitor that a trial whose worker it kills is pruned for memory, and no other.

The machine really runs short, by a bound that is set a little above what is in use: another process takes the rest
until Ray has killed a worker.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from mbo_search.engine.backends.failure_note import read_failure_note
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.testing.studies import tiny_study
from tests.engine.backends.ray.test_runner import finish
from tests.helpers.processes import wait_for

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

ROOM_BYTES = 3 * 2**30
"""What the search and everybody else on the machine may take before Ray runs short."""

STUDY = ("search.searcher=random", "search.trials=6", "resources.workers=2", "control=0", "budget.tokens=40k")

HOG = """
import sys
taken = []
for line in sys.stdin:
    taken.append(bytearray(b"x") * int(line))
"""


def memory():
    """Bytes of the machine, and those in use, as Ray counts them outside of a container."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return found["MemTotal"], found["MemTotal"] - found["MemAvailable"]


class Hog:
    """Takes more and more memory."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-c", HOG], stdin=subprocess.PIPE, text=True, bufsize=1)

    def take(self, num_bytes):
        assert self.process.stdin is not None
        self.process.stdin.write(f"{num_bytes}\n")

    def end(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def hog():
    made = Hog()
    yield made
    made.end()


def test_a_worker_that_is_killed_for_memory_costs_its_trial_and_no_other(
    drive, tiny_root, tmp_path, monkeypatch, hog
):
    total, used = memory()
    if total - used < 2 * ROOM_BYTES:
        pytest.skip("too little memory is free here")
    run = RunDirectory(tmp_path / "run")
    for name, value in {
        "RAY_memory_usage_threshold": f"{(used + ROOM_BYTES) / total:.4f}",
        "RAY_memory_monitor_refresh_ms": "100",
    }.items():
        monkeypatch.setenv(name, value)
    process = drive(tiny_study(tiny_root, *STUDY), tiny_root, run.path)
    wait_for(lambda: process.poll() is not None or (run.trials.is_dir() and len(run.records()) >= 1))

    def is_killed():
        found = list(run.trials.glob("*.last-words.json"))
        if not found and memory()[1] < used + ROOM_BYTES + 2**29:
            hog.take(2**28)
        return found or process.poll() is not None

    wait_for(is_killed)
    hog.end()
    finish(process)
    records = {record.trial: record for record in run.records()}
    pruned = [trial for trial, record in records.items() if record.state == "pruned"]
    assert len(records) == 6
    assert 1 <= len(pruned) <= 2, "Ray may kill once more before it notices that there is room again"
    for trial in pruned:
        assert (records[trial].reason, records[trial].attempts) == ("out_of_memory", 2)
        words = read_failure_note(run.trials, trial)
        assert words is not None
        assert "memory" in words.message
    others = [record for trial, record in records.items() if trial not in pruned]
    assert {record.state for record in others} == {"complete"}
    assert max(record.attempts for record in others) <= 3
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{run.database}")
    told = {trial.user_attrs["trial"]: (trial.state.name, trial.user_attrs.get("reason")) for trial in study.trials}
    assert {told[trial] for trial in pruned if trial in told} == {("PRUNED", "out_of_memory")}
