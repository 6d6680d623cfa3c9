"""Proves when a judgement stops and what it says: not before six pairs, and not on what is no evidence."""

from __future__ import annotations

import numpy as np
import pytest

from mbo_search.judging.decision import first_final, seeds_missing, weigh
from mbo_search.judging.pairs import JudgedPair
from mbo_search.judging.question import JudgeQuestion

NOISE = (0.01, -0.012, 0.004, 0.008, -0.009, 0.001, -0.006, 0.011, 0.003, -0.005, 0.007, -0.01)


def pair(number: int, gain: float, state: str = "counted") -> JudgedPair:
    baseline = 4.0 + 0.01 * number
    return JudgedPair.model_validate(
        {"seed": number, "baseline": baseline, "candidate": baseline - gain, "state": state}
    )


def pairs(gain: float, scale: float = 1.0) -> list[JudgedPair]:
    return [pair(number, gain + scale * noise) for number, noise in enumerate(NOISE, start=1)]


def test_a_clear_gain_is_kept_at_the_first_look():
    found = first_final(pairs(0.05), JudgeQuestion())
    assert (found.decision, found.reason, len(found.counted)) == ("keep", "interval", 6)
    assert seeds_missing(found) == 0


def test_a_gain_that_is_worth_nothing_is_discarded():
    found = first_final(pairs(0.0), JudgeQuestion())
    assert (found.decision, found.reason) == ("discard", "interval")


def test_the_smallest_gain_worth_having_is_a_percentage_of_the_metric():
    found = weigh(pairs(0.03)[:6], JudgeQuestion(worthwhile_percent=2.0))
    assert found.goal == pytest.approx(0.02 * 4.035)
    assert found.decision == "discard"


def test_a_score_is_kept_where_it_is_higher():
    question = JudgeQuestion(maximize=True)
    assert first_final(pairs(-0.05), question).decision == "keep"
    assert first_final(pairs(0.05), question).decision == "discard"


def test_five_pairs_decide_nothing():
    assert weigh(pairs(1.0)[:5], JudgeQuestion()).reason == "going on"


def test_noise_without_an_end_in_reach_is_given_up_early():
    found = first_final(pairs(0.01, scale=10), JudgeQuestion())
    assert (found.decision, found.reason) == ("undecided", "futile")
    assert len(found.counted) < 12
    assert (seeds_missing(found) or 0) > 12


def test_all_seeds_may_be_used_without_an_answer():
    found = first_final(pairs(0.01, scale=1.8), JudgeQuestion(worthwhile_percent=0.4))
    assert (found.decision, found.reason, len(found.counted)) == ("undecided", "seeds", 12)


def test_identical_pairs_are_no_evidence_and_alone_they_say_that_nothing_changes():
    same = [pair(number, 0.0, "identical") for number in range(1, 4)]
    assert weigh(same[:2], JudgeQuestion()).reason == "going on"
    found = weigh(same, JudgeQuestion())
    assert (found.decision, found.reason, found.test) == ("discard", "identical", None)
    mixed = weigh([*same[:2], *pairs(0.05)[:5]], JudgeQuestion())
    assert (mixed.reason, len(mixed.counted)) == ("going on", 5)


def test_failed_pairs_are_no_evidence():
    failed = JudgedPair(seed=99, baseline=4.0, candidate=None, state="failed", why="candidate: burned")
    found = weigh([failed, *pairs(0.05)[:5]], JudgeQuestion())
    assert (found.decision, len(found.counted)) == ("undecided", 5)


def test_the_same_difference_on_every_seed_proves_nothing():
    found = weigh(
        [JudgedPair(seed=n, baseline=4.0, candidate=3.0, state="counted") for n in range(3)], JudgeQuestion()
    )
    assert (found.decision, found.reason) == ("undecided", "constant")


def test_ties_throughout_are_no_gain():
    tied = [JudgedPair(seed=n, baseline=4.0, candidate=4.0, state="counted") for n in range(6)]
    assert first_final(tied, JudgeQuestion()).decision == "discard"


def test_a_baseline_of_zero_is_never_discarded_by_percent():
    scores = [JudgedPair(seed=n, baseline=0.0, candidate=gain, state="counted") for n, gain in enumerate(NOISE)]
    assert first_final(scores, JudgeQuestion(maximize=True)).decision != "discard"


def test_looking_after_every_pair_rarely_keeps_what_does_nothing():
    rng = np.random.default_rng(3)
    question = JudgeQuestion()
    draws = 0.02 * rng.standard_normal((60, 12))
    found = [first_final([pair(n, gain) for n, gain in enumerate(row)], question) for row in draws.tolist()]
    assert sum(one.decision == "keep" for one in found) <= 7  # 2 are expected at most, 8 less than once in 1000
