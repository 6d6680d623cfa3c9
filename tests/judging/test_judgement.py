"""Proves what a judgement says in words, and that its numbers agree with them."""

from __future__ import annotations

import dataclasses

import pytest

from mbo_search.judging.decision import first_final, weigh
from mbo_search.judging.judgement import make_judgement
from mbo_search.judging.pairs import JudgedPair
from mbo_search.judging.question import JudgeQuestion
from tests.judging.test_decision import pair, pairs

QUESTION = JudgeQuestion()


def judgement(found: list[JudgedPair], question: JudgeQuestion = QUESTION):
    evidence = first_final(found, question)
    return make_judgement(found[: len(evidence.counted)] or found, evidence, question)


def test_a_gain_is_said_in_its_unit_and_in_percent():
    found = judgement(pairs(0.05))
    assert found.sentence.startswith("Keep: the candidate's val_loss is lower. Gain +0.05")
    assert found.mean_gain_percent == pytest.approx(100 * (found.mean_gain or 0) / (found.baseline_mean or 1))
    assert (found.low or 0) < (found.mean_gain or 0) < (found.high or 0)
    assert (found.level, found.seeds_missing) == (0.95, 0)


def test_worse_is_told_from_no_better():
    assert "is worse" in judgement(pairs(-0.1)).sentence
    assert "gains less than 0.5 % of val_loss" in judgement(pairs(0.0)).sentence
    small = JudgeQuestion(worthwhile_percent=3.0)
    assert "is lower, but not by 3 % of val_loss" in judgement(pairs(0.05), small).sentence


def test_larger_is_better_where_it_was_asked_for():
    found = judgement(pairs(-0.05), JudgeQuestion(metric="accuracy", maximize=True))
    assert "candidate's accuracy is higher" in found.sentence
    assert found.direction == "higher"


def test_undecided_says_what_is_missing():
    found = judgement(pairs(0.01, scale=10))
    assert "No decision was in reach" in found.sentence
    assert f"About {found.seeds_missing} more pairs" in found.sentence


def test_the_time_that_was_used_up_is_named():
    evidence = dataclasses.replace(weigh(pairs(0.01)[:4], QUESTION), reason="budget")
    assert "The time was used up." in make_judgement(pairs(0.01)[:4], evidence, QUESTION).sentence


def test_before_the_first_evidence_there_is_nothing_to_say():
    found = make_judgement((), weigh((), QUESTION), QUESTION)
    assert found.sentence == "Undecided: no pair is evidence yet."
    assert found.seeds_missing is None


def test_one_pair_has_no_interval():
    found = make_judgement(pairs(0.01)[:1], weigh(pairs(0.01)[:1], QUESTION), QUESTION)
    assert "over 1 pair; there is no interval yet" in found.sentence
    assert found.level is None


def test_pairs_that_are_no_evidence_are_remarked_on():
    failed = JudgedPair(seed=50, baseline=4.0, candidate=None, state="failed", why="candidate: burned")
    mixed = [failed, pair(51, 0.0, "identical"), *pairs(0.05)]
    found = make_judgement(mixed, weigh(mixed, QUESTION), QUESTION)
    assert (found.num_identical, found.num_failed) == (1, 1)
    assert "identical bit for bit" in found.remarks[0]
    assert "Seed 50: candidate: burned" in found.remarks[1]
