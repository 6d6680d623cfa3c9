"""The report's continuations come from the best baseline and the winner, on the same text, or are left out."""

from __future__ import annotations

import shutil

from mbo_search.export.continuations import continuations
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.records.run_directory import RunDirectory


def test_baseline_and_winner_continue_the_same_text(run):
    ranking = make_ranking(run)
    samples = continuations(run, ranking)
    assert [sample.trial for sample in samples] == [ranking.baseline_trial, ranking.verdict.winner_trial]
    assert [sample.label for sample in samples] == [
        row.rung for sample in samples for row in ranking.trials if row.trial == sample.trial
    ]
    assert samples[0].label == "untuned"
    assert len({sample.prompt for sample in samples}) == 1
    assert len({sample.continuation for sample in samples}) == 2
    assert continuations(run, ranking) == samples


def test_models_that_are_no_longer_kept_are_left_out(run, tmp_path):
    copy = RunDirectory(tmp_path / "run")
    shutil.copytree(run.path, copy.path)
    shutil.rmtree(copy.stages)
    assert continuations(copy, make_ranking(copy)) == ()
