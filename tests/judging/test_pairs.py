"""Proves which runs are evidence: not those that failed, and not those that are equal bit for bit."""

from __future__ import annotations

import math

from mbo_search.judging.pairs import RunRecord, are_identical, failure_of, pair_of
from mbo_search.judging.question import JudgeQuestion
from mbo_search.judging.running import finished_run

QUESTION = JudgeQuestion()


def run(seed: int = 1, **values: float) -> RunRecord:
    return finished_run(seed, values)


def test_a_gain_is_what_the_loss_is_lower_by():
    pair = pair_of(run(val_loss=4.0), run(val_loss=3.5), QUESTION)
    assert (pair.state, pair.gain(QUESTION)) == ("counted", 0.5)


def test_a_gain_is_what_a_score_is_higher_by():
    question = JudgeQuestion(metric="accuracy", maximize=True)
    assert pair_of(run(accuracy=0.5), run(accuracy=0.75), question).gain(question) == 0.25


def test_a_metric_is_also_looked_for_among_the_metrics():
    assert finished_run(1, {"metrics.f1": 0.5}).value("f1") == 0.5


def test_runs_that_differ_in_time_alone_are_identical():
    assert are_identical(run(val_loss=4.0, train_seconds=1.0), run(val_loss=4.0, train_seconds=2.0))


def test_equal_metrics_of_different_runs_are_a_tie_and_count():
    pair = pair_of(run(val_loss=4.0, train_loss=3.0), run(val_loss=4.0, train_loss=3.1), QUESTION)
    assert (pair.state, pair.gain(QUESTION)) == ("counted", 0.0)


def test_the_last_bit_makes_a_difference():
    assert not are_identical(run(val_loss=4.0), run(val_loss=math.nextafter(4.0, 5.0)))


def test_a_run_without_a_number_is_no_evidence():
    assert failure_of(run(val_loss=math.nan), "val_loss") == "val_loss is NaN or infinite"
    assert "has no val_loss; it has: loss" in failure_of(run(loss=1.0), "val_loss")
    pair = pair_of(run(val_loss=4.0), run(val_loss=math.inf), QUESTION)
    assert (pair.state, pair.baseline, pair.candidate) == ("failed", 4.0, None)
    assert pair.why == "candidate: val_loss is NaN or infinite"


def test_a_failed_run_says_why_in_its_pair():
    failed = RunRecord(seed=1, state="failed", message="it burned")
    assert pair_of(failed, failed, QUESTION).why == "baseline: it burned; candidate: it burned"
