"""Proves that nothing of a command is left running, not even processes in sessions of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mbo_search.errors import TrialError
from mbo_search.study.spec.foreign.runner import RunnerSpec
from mbo_search.train.foreign.call import SpanCall
from mbo_search.train.foreign.command import PARTIAL, CommandTrainer
from mbo_search.train.foreign.family import end_family
from mbo_search.train.foreign.request import SpanRequest, SpanStrategy, StagePart
from tests.helpers.processes import wait_for

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
BEGIN = f"""
import json, os, pathlib, subprocess, sys, time
child = subprocess.Popen({SLEEP!r}, start_new_session=True)
pathlib.Path("child").write_text(str(child.pid))
"""
ANSWER = "import os, pathlib\npathlib.Path(os.environ['MBO_RESULT']).write_text('{\"val_loss\": 2.0}')\n"


@pytest.fixture
def call(tmp_path):
    for name in ("out", "work/partial"):
        (tmp_path / name).mkdir(parents=True)
    strategy = SpanStrategy(optimizer="adamw", weight_decay=0.1, clip_norm=None)
    part = StagePart(first_step=0, last_step=1, hand_over="start", strategy=strategy, lrs=(0.1,))
    return SpanCall(
        request=SpanRequest(key="k", seed=3, batch_tokens=10, total_steps=1, parts=(part,)),
        state_in=None,
        state_out=tmp_path / "out",
        partial=tmp_path / "work" / "partial",
        _tell=lambda line: None,
        _stop=lambda: False,
    )


def train(call, code, hang_seconds=20.0):
    folder = call.state_out.parent
    runner = RunnerSpec(command=(sys.executable, "-c", code), folder=str(folder))
    return CommandTrainer(runner, folder / "output.log", hang_seconds)(call)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with Path(f"/proc/{pid}/stat").open(encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize(
    ("code", "reason", "hang_seconds"),
    [("sys.exit(3)", "exit code 3", 20.0), ("time.sleep(60)", "said nothing for", 0.3), ("", "MBO_RESULT", 20.0)],
    ids=["fails", "hangs", "silent"],
)
def test_nothing_of_a_failed_command_is_left_running(call, code, reason, hang_seconds):
    with pytest.raises(TrialError, match=reason):
        train(call, BEGIN + code, hang_seconds)
    child = int((call.state_out.parent / "child").read_text())
    wait_for(lambda: not is_running(child), seconds=5)


def test_what_a_killed_attempt_left_running_is_ended_before_the_next_one(call):
    environment = os.environ | {PARTIAL: str(call.partial)}
    noted = call.partial.parent / "process.json"
    noted.write_text(json.dumps({"host": "elsewhere", "pid": 1, "began": None}), encoding="utf-8")
    with subprocess.Popen(SLEEP, env=environment, start_new_session=True) as orphan:
        assert train(call, ANSWER).val_loss == 2.0
        assert orphan.wait(timeout=5) == -9


def test_only_the_family_is_ended():
    with subprocess.Popen(SLEEP, env={"X": "1"}) as stranger:
        end_family("X", "2")
        end_family("Y", "1")
        assert stranger.poll() is None
        end_family("X", "1")
        assert stranger.wait(timeout=5) == -9
