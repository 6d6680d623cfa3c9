"""Proves that `dashboard` writes the file whatever is installed, and starts what is."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from mbo_search.export.dashboard import server
from mbo_search.testing.runs import build_run


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> Path:
    return build_run(tmp_path_factory.mktemp("runs") / "my run", num_trials=16).path


def test_without_the_dashboard_the_file_is_written_and_told_how_to_install_it(mbo, searched, monkeypatch):
    monkeypatch.setattr(server, "is_installed", lambda: False)
    ended = mbo("dashboard", searched)
    assert ended.code == 0
    assert (searched / "dashboard.db").is_file()
    assert "pip install 'mbo-search[dashboard]'" in ended.out
    assert f"'sqlite:///{searched / 'dashboard.db'}'" in ended.out


def test_only_the_file_can_be_asked_for(mbo, searched):
    document = mbo("dashboard", searched, "--no-start", "--json").json()
    assert document == {
        "schema": "mbo-search/dashboard/1",
        "file": str(searched / "dashboard.db"),
        "url": None,
    }


def test_what_is_no_run_directory_is_refused(mbo, tmp_path):
    ended = mbo("dashboard", tmp_path)
    assert ended.code == 2
    assert str(tmp_path) in ended.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_refused(mbo, searched):
    searched.chmod(0o555)
    try:
        ended = mbo("dashboard", searched, "--no-start")
    finally:
        searched.chmod(0o755)
    assert ended.code == 2
    assert "dashboard.db" in ended.err


@pytest.mark.cluster
@pytest.mark.skipif(importlib.util.find_spec("optuna_dashboard") is None, reason="it is not installed")
def test_the_real_dashboard_answers_with_our_names_and_ends_with_ctrl_c(searched):
    program = "from mbo_search.cli import main; main()"
    command = [sys.executable, "-c", program, "dashboard", str(searched), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        text = ""
        while "}" not in text:
            text += running.stdout.readline()
        url = json.loads(text)["url"]
        studies = _get(f"{url}api/studies")["study_summaries"]
        detail = _get(f"{url}api/studies/{studies[0]['study_id']}?after=0")
        began = time.monotonic()
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 0
        assert time.monotonic() - began < 5
    assert detail["objective_names"] == ["validation loss"]
    assert [trial["number"] for trial in detail["trials"]] == list(range(16))
    assert "cool/lr" in {param["name"] for param in detail["union_search_space"]}
    assert detail["note"]["body"]


def _get(url: str):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)
