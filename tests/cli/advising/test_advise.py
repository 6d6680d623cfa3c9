"""Proves that `advise` says and writes what trials speak for, and `run --follow` runs it with what is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mbo_search.testing.runs import build_run
from tests.cli.tiny import write_study


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished search without stored states."""
    return build_run(tmp_path_factory.mktemp("advise") / "done", num_trials=48, num_stages=2, confirm_seeds=6).path


def test_advice_is_printed_and_written(mbo, finished, tmp_path):
    file = tmp_path / "next.yaml"
    ended = mbo("advise", finished, "--out", file, "--json")
    assert ended.code == 0, ended.err
    document = ended.json()
    assert document["schema"] == "mbo-search/advice/1"
    assert document["changes"][0]["reasons"]
    assert document["next"].endswith(f"mbo-search run {file} --follow {finished}")
    assert mbo("validate", file).code == 0
    text = mbo("advise", finished).out
    assert all(reason in text for change in document["changes"] for reason in change["reasons"])
    assert mbo("advise", finished, "--quiet").out == f"{len(document['changes'])} changes\n"


def test_what_is_no_run_is_refused(mbo, tmp_path, finished):
    ended = mbo("advise", finished, tmp_path / "nothing")
    assert ended.code == 2
    assert "nothing: does not exist" in ended.err


@pytest.mark.slow
def test_a_study_follows_with_states_and_schedules_of_the_one_before(mbo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(tmp_path / "cache"))
    study = write_study(tmp_path, tokens=2560, trials=3, first="adamw, lion", control=0)
    assert mbo("run", study, "--quiet").code == 0

    refused = mbo("run", "--follow", "reports/tiny")
    assert refused.code == 2
    assert "--follow: its trials speak for no change of its study" in refused.err

    ended = mbo("run", "--follow", "reports/tiny", "--set", "search.trials=2", "--json")
    assert ended.code == 0, ended.err
    document = ended.json()
    assert document["folder"] == "reports/tiny-next"
    assert "2 schedules to try first" in document["warm_start"][0]
    assert document["totals"]["executed_tokens"] == 0
    record = json.loads(Path("reports/tiny-next/trials/0000.json").read_text())
    assert (record["arm"], record["state"]) == ("baseline", "complete")
