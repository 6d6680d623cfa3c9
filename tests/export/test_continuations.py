"""The report's continuations come from all schedules of the verdict, on the same text, or are left out."""

from __future__ import annotations

import shutil

import pytest

from mbo_search.export.continuations import continuations, whole_words
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.records.run_directory import RunDirectory


def test_all_schedules_of_the_verdict_continue_the_same_text(run):
    ranking = make_ranking(run)
    samples = continuations(run, ranking)
    verdict = ranking.verdict
    wanted = [ranking.baseline_trial, verdict.opponent_trial, verdict.champion_trial, verdict.winner_trial]
    assert [sample.trial for sample in samples] == [trial for trial in dict.fromkeys(wanted) if trial is not None]
    assert [sample.label for sample in samples] == [
        row.rung for sample in samples for row in ranking.trials if row.trial == sample.trial
    ]
    assert samples[0].label == "untuned"
    assert len({sample.prompt for sample in samples}) == 1
    assert len({sample.continuation for sample in samples}) == len(samples) >= 2
    assert continuations(run, ranking) == samples


def test_models_that_are_no_longer_kept_are_left_out(run, tmp_path):
    copy = RunDirectory(tmp_path / "run")
    shutil.copytree(run.path, copy.path)
    shutil.rmtree(copy.stages)
    assert continuations(copy, make_ranking(copy)) == ()


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("Return or raise S", "Return or raise"),
        ("end. ", "end."),
        ("\u4f60\u597d\ufffd", "\u4f60\u597d"),
        (" ", " "),
    ],
)
def test_a_prompt_ends_where_a_word_ends(text, whole):
    assert whole_words(text) == whole
