"""Proves what is said of a run in a few words, in both languages."""

from __future__ import annotations

import json
import time

import pytest

from mbo_search.report.style.i18n import load_strings
from mbo_search.results.ranking.files import make_ranking, write_ranking
from mbo_search.serve.watched_run import Snapshot
from mbo_search.serve.words import moment_words, outcome_words, progress_words
from mbo_search.testing.runs import build_run

ENGLISH, CHINESE = load_strings("en"), load_strings("zh")


def test_progress_names_what_is_known():
    seen = Snapshot(state="running", version="", searched=3, planned=12, judged=0, open=2)
    assert progress_words(seen, ENGLISH) == "3 of 12 schedules done, 2 running or waiting"
    assert (
        progress_words(seen, CHINESE)
        == "\u65b9\u6848\u5df2\u5b8c\u6210 3 / 12\uff0c2 \u4e2a\u6b63\u5728\u8fd0\u884c\u6216\u7b49\u5f85"
    )
    stopped = Snapshot(state="stopped", version="", searched=3, judged=4, open=1)
    assert progress_words(stopped, ENGLISH) == "3 schedules done, 4 confirm runs done, 1 unfinished"
    assert progress_words(Snapshot(state="preparing", version=""), ENGLISH) == ""


def test_the_last_trial_has_a_date_unless_it_was_today():
    now = time.time()
    assert len(moment_words(Snapshot(state="ended", version="", updated=now), ENGLISH).split()[-1]) == 8
    assert moment_words(Snapshot(state="ended", version="", updated=0.0), ENGLISH).count("-") == 2
    assert moment_words(Snapshot(state="ended", version=""), ENGLISH) == ""


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=lambda text: text.language)
def test_the_outcome_is_the_headline_of_what_there_is(tmp_path, text):
    run = build_run(tmp_path / "run", num_trials=24, confirm_seeds=3)
    worked_out = outcome_words(run, text)
    assert worked_out
    write_ranking(run, make_ranking(run))
    assert outcome_words(run, text) == worked_out


def test_a_ranking_that_is_out_of_date_or_of_an_earlier_version_is_worked_out(tmp_path):
    run = build_run(tmp_path / "run", num_trials=24)
    expected = outcome_words(run, ENGLISH)
    write_ranking(run, make_ranking(run))
    ranking = json.loads(run.ranking_json.read_text())
    ranking["verdict"]["headline"] = ""
    run.ranking_json.write_text(json.dumps(ranking))
    assert outcome_words(run, ENGLISH) == expected
    run.ranking_json.write_text("{")
    assert outcome_words(run, ENGLISH) == expected
