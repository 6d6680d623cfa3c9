"""The decision after every pair: the test of `confirm`, in the unit of the metric.

The interval holds after every pair at once, so whoever stops at the first decision says a false `keep` with the
stated probability at most. Giving up early, because no decision is in reach, can only take decisions away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mbo_search.judging.pairs import JudgedPair
from mbo_search.judging.question import JudgeQuestion
from mbo_search.results.statistics.paired import FEWEST_SEEDS, Answer
from mbo_search.results.statistics.seeds_needed import chance_to_pass, seeds_to_pass
from mbo_search.results.statistics.sequential import (
    SequentialTest,
    decide_against,
    sequential_test,
    spending_of,
)

Decision = Literal["keep", "discard", "undecided"]

Reason = Literal["interval", "identical", "constant", "futile", "seeds", "budget", "going on"]
"""Why it stopped: the interval decided, all pairs are identical, the seed makes no difference, no decision was in
reach, the seeds or the time were used up; or it did not stop."""

ENOUGH_IDENTICAL = 3
"""Pairs that are equal bit for bit before a change is said to change nothing."""

_FUTILE = 0.05
"""Smallest chance of a decision within the seeds for which it is worth training on."""

_ANSWERS: dict[Answer, Decision] = {"yes": "keep", "no": "discard", "undecided": "undecided"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairEvidence:
    """What some pairs say.

    Attributes:
        decision: The decision.
        reason: Why it is that one.
        counted: Pairs that are evidence.
        baseline_mean: Mean metric of the baseline over them; None without any.
        goal: Smallest gain worth having, in the unit of the metric.
        test: The test; None without evidence.
    """

    decision: Decision
    reason: Reason
    counted: tuple[JudgedPair, ...]
    baseline_mean: float | None
    goal: float
    test: SequentialTest | None

    @property
    def is_final(self) -> bool:
        """Whether no further pair is asked for."""
        return self.reason != "going on"


def weigh(pairs: Sequence[JudgedPair], question: JudgeQuestion) -> PairEvidence:
    """Decide after some pairs.

    Args:
        pairs: The pairs in the order of their seeds; failed and identical ones are passed over.
        question: What decides.

    Returns:
        What they say; the reason is `going on` where another pair is to be trained.
    """
    counted = tuple(pair for pair in pairs if pair.state == "counted")
    gains = [pair.gain(question) for pair in counted]
    test = sequential_test(gains, spending=spending_of(1)) if gains else None
    mean = math.fsum(pair.baseline or 0.0 for pair in counted) / len(counted) if counted else None
    goal = abs(mean or 0.0) * question.worthwhile_percent / 100
    decision, reason = _decide(pairs, test, goal, question)
    return PairEvidence(decision=decision, reason=reason, counted=counted, baseline_mean=mean, goal=goal, test=test)


def first_final(pairs: Sequence[JudgedPair], question: JudgeQuestion) -> PairEvidence:
    """Look after every pair and stop at the first that decides, as a judgement that trains them does."""
    found = weigh((), question)
    for count in range(1, len(pairs) + 1):
        found = weigh(pairs[:count], question)
        if found.is_final:
            break
    return found


def _decide(
    pairs: Sequence[JudgedPair], test: SequentialTest | None, goal: float, question: JudgeQuestion
) -> tuple[Decision, Reason]:
    num_identical = sum(pair.state == "identical" for pair in pairs)
    if test is None and num_identical >= ENOUGH_IDENTICAL:
        return "discard", "identical"
    if test is not None:
        answer = _ANSWERS[decide_against(test, goal)]
        if answer != "undecided":
            return answer, "interval"
        if test.num_seeds >= ENOUGH_IDENTICAL and test.seed_se_nats == 0 and test.mean_nats != 0:
            return "undecided", "constant"
    if len(pairs) >= question.max_seeds:
        return "undecided", "seeds"
    return "undecided", "futile" if test is not None and _is_futile(
        test, goal, len(pairs), question
    ) else "going on"


def _is_futile(test: SequentialTest, goal: float, num_pairs: int, question: JudgeQuestion) -> bool:
    """Whether what was measured leaves hardly a chance of a decision within the seeds that are left."""
    if test.num_seeds < FEWEST_SEEDS or not test.sd_nats:
        return False
    in_all = test.num_seeds + min(question.max_seeds - num_pairs, 48)
    return chance_to_pass(test, goal, in_all) < _FUTILE


def seeds_missing(evidence: PairEvidence) -> int | None:
    """How many more pairs would probably decide; None where nothing is known of the spread, or far too many."""
    test = evidence.test
    if evidence.decision != "undecided":
        return 0
    if test is None or test.num_seeds < 2:
        return None
    needed = seeds_to_pass(test, evidence.goal)
    return None if needed is None else needed - test.num_seeds
