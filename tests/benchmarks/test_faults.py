"""Proves by the short form of the benchmark that random kills of the driver lose, double and change nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_random_kills_of_the_driver_lose_double_and_change_nothing(tmp_path):
    command = [
        sys.executable,
        "benchmarks/faults.py",
        "--short",
        "--root",
        tmp_path,
        "--json",
        tmp_path / "out.json",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (tally,) = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert 0 < sum(tally["kills"].values()) == tally["survived"]
    assert (tally["lost"], tally["doubled"], tally["unfinished"], tally["different"]) == (0, 0, 0, 0)
    assert tally["same_ranking"]
