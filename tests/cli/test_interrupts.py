"""Proves that Ctrl-C ends every command soon, wherever it is, without a traceback and with a word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.tiny import write_study

PROGRAM = Path(sys.executable).parent / "mbo-search"
EXAMPLE_RUN = Path(__file__).parents[1] / "replay" / "directory"
TABLE = Path(__file__).parents[2] / "benchmarks" / "tables" / "four-by-five.json"
MOST_SECONDS = 20.0
"""On a busy machine; five are promised on one that is not."""

pytestmark = pytest.mark.slow


def interrupted(arguments, *, after, folder):
    """Start a command, interrupt its process group once it has said something; what it said, and how it ended."""
    program = subprocess.Popen(
        [PROGRAM, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        start_new_session=True,
        text=True,
    )
    said = []
    for line in program.stdout:
        said.append(line)
        if after in line:
            break
    time.sleep(0.5)
    began = time.monotonic()
    os.killpg(program.pid, signal.SIGINT)
    rest, _ = program.communicate(timeout=60)
    return "".join(said) + rest, program.returncode, time.monotonic() - began


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path, tokens=2_000_000, trials=3, first="adamw", control=0.0)


@pytest.mark.parametrize(
    ("command", "after", "word"),
    [
        (["plan"], "Measuring this machine", "Interrupted."),
        (["run", "--out", "out"], "Measuring this machine", "nterrupted"),
        (["run", "--out", "out"], "0 % done", "Next: mbo-search resume out"),
        (["run", "--out", "out", "--set", "resources.workers=2"], "Measuring this machine", "nterrupted"),
    ],
    ids=["plan", "run-preparing", "run-training", "run-starting-ray"],
)
def test_ctrl_c_ends_what_trains(command, after, word, study, tmp_path):
    out, code, seconds = interrupted([command[0], study, *command[1:]], after=after, folder=tmp_path)
    assert code == 130
    assert word in out
    assert "Traceback" not in out
    assert seconds < MOST_SECONDS


def test_ctrl_c_ends_a_replay_while_its_text_is_prepared_and_while_it_trains(study, tmp_path):
    subprocess.run([PROGRAM, "run", study, "--out", "out", "--set", "budget.tokens=6400"], cwd=tmp_path, check=True)
    best = tmp_path / "out" / "best.yaml"
    best.write_text(best.read_text().replace("tokens: 6400", "tokens: 64000000"))
    out, code, seconds = interrupted(["train", best, "--out", "model"], after="stage 1", folder=tmp_path)
    assert (code, "Traceback" in out) == (130, False)
    assert "repeat the command to continue in model" in out
    assert seconds < MOST_SECONDS
