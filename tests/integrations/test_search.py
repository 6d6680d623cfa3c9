"""A study that names a loop of one's own is searched through the command line, and shares beginnings."""

from __future__ import annotations

import json
import shutil

import pytest

from mbo_search.cli.app import app
from mbo_search.cli.console import run_app
from mbo_search.results.records.run_directory import RunDirectory
from tests.helpers.overlays import ROOT


@pytest.mark.slow
def test_the_example_is_searched_with_shared_beginnings(tmp_path, monkeypatch, capfd):
    for name in ("plain_loop.py", "plain-loop.yaml"):
        shutil.copy(ROOT / "examples" / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    small = {"budget.tokens": "1280", "train.batch_tokens": "16", "search.trials": "3", "confirm.seeds": "2"}
    settings = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    words = ["run", "plain-loop.yaml", "--out", "run", "--backend", "local", "--allow-code", "--json", *settings]
    assert run_app(app, words) == 0, capfd.readouterr().err
    assert json.loads(capfd.readouterr().out)["schema"].startswith("mbo-search/run")
    records = RunDirectory.open(tmp_path / "run").records()
    assert len(records) >= 3
    assert {record.state for record in records} == {"complete"}
    shared = [record for record in records if record.cost.executed_tokens < record.requested_tokens]
    assert shared, "no schedule went on from a state that another had left"
