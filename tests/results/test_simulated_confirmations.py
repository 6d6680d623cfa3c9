"""On simulated studies with a known truth, from the choice of the champions to the last sentence, errors are rare.

A study here has what a real one has: a staged arm that changes the optimizer or does not, a control arm, a
baseline, losses of the search that flatter whoever was chosen by them, fresh seeds that move all contenders alike,
and runs of the best single strategy at other budgets. What is confirmed is what `confirm` would confirm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from mbo_search.results.champions import champions, contenders
from mbo_search.results.rank import rank
from mbo_search.results.ranking_values import Totals
from mbo_search.results.records import TrialRecord
from mbo_search.results.schedule_runs import group_by_schedule, schedule_identity
from mbo_search.results.statistics import alpha_of_look
from mbo_search.study.schedule import Schedule, Stage

NOISE = 0.02
SLOPE = 0.5
"""By how much a loss falls per log(multiple of the budget)."""

NUM_EACH = 8


def _schedule(index, *optimizers):
    stages = [
        Stage(name="s", share=1 / len(optimizers), optimizer=name, lr=0.01 * (index + 1)) for name in optimizers
    ]
    return Schedule(stages=tuple(stages))


SPACE = [
    ("baseline", _schedule(99, "adamw")),
    *(("control", _schedule(index, "adamw")) for index in range(NUM_EACH)),
    *(("staged", _schedule(index, "muon", "adamw")) for index in range(NUM_EACH)),
    *(("staged", _schedule(index, "adamw", "adamw")) for index in range(NUM_EACH)),
]


@dataclass
class Simulated:
    """A study: every record, and the true loss of each schedule."""

    rng: np.random.Generator
    spread: float

    def __post_init__(self):
        self.truth = {}
        self.records = []
        for arm, schedule in SPACE:
            true_loss = 3.0 + self.spread * self.rng.standard_normal()
            self.truth[schedule_identity(schedule)] = true_loss
            self.add(arm, schedule, 0, true_loss)
        self.best = champions(group_by_schedule(self.records))

    def add(self, arm, schedule, seed, expected, multiple=1.0):
        self.records.append(
            TrialRecord.model_construct(
                trial=len(self.records),
                arm=arm,
                seed=seed,
                schedule=schedule,
                state="complete",
                budget_multiple=multiple,
                val_loss=float(expected + NOISE * self.rng.standard_normal()),
            )
        )

    def confirm(self, seeds):
        again = contenders(group_by_schedule(self.records), 1).schedules
        for seed in seeds:
            shared = 0.05 * self.rng.standard_normal()
            for runs in again:
                self.add("confirm", runs.head.schedule, seed, self.true_loss(runs) + shared)
            for multiple in (0.8, 1.25):
                moved = self.true_loss(self.best.single) + shared - SLOPE * math.log(multiple)
                self.add("tokens", self.best.single.head.schedule, seed, moved, multiple)

    def true_loss(self, runs):
        return self.truth[schedule_identity(runs.head.schedule)]

    def rank(self, alpha=0.05):
        return rank(self.records, "s", Totals(), scale="x", alpha=alpha)

    def worse(self, trial, other):
        by_trial = {record.trial: self.truth[schedule_identity(record.schedule)] for record in self.records}
        return by_trial[other] - by_trial[trial]


def _confirmed(num_studies, seed, *, spread, num_seeds=6):
    rng = np.random.default_rng(seed)
    for _ in range(num_studies):
        study = Simulated(rng, spread)
        study.confirm(range(1, num_seeds + 1))
        yield study, study.rank()


def _error_shares(num_studies, seed):
    """Where nothing differs: shares of studies that say yes, and with any secondary find."""
    yes, found = 0, 0
    for _, ranking in _confirmed(num_studies, seed, spread=0.0):
        adjusted = [one.adjusted_p for one in ranking.comparisons if one.adjusted_p is not None]
        yes += ranking.verdict.answer == "yes"
        found += min(adjusted) < 0.05
    return yes / num_studies, found / num_studies


def _coverages(num_studies, seed):
    """Shares of intervals that cover the truth: primary test, second line, equivalent tokens."""
    primary, second, tokens = [], [], []
    for study, ranking in _confirmed(num_studies, seed, spread=0.03):
        verdict, test = ranking.verdict, ranking.comparisons[0].test
        gain = study.worse(verdict.best_staged_trial, verdict.best_single_trial)
        primary.append(test.low_nats <= gain <= test.high_nats)
        line = verdict.switching
        gap = study.worse(line.switching_trial, line.single_optimizer_trial)
        second.append(line.test.low_nats <= gap <= line.test.high_nats)
        tokens += _covers(verdict.equivalent_tokens, gain)
    return np.mean(primary), np.mean(second), np.mean(tokens)


def _covers(ratio, gain):
    """An end outside of what was measured excludes nothing on its side."""
    if ratio.undefined or ratio.outside is not None:
        return []
    low, high = ratio.value.low or 0.0, ratio.value.high or math.inf
    return [low <= math.exp(gain / SLOPE) <= high]


def _false_yes_over_looks(num_studies, seed):
    """Confirming again and again until it says yes, where nothing differs."""
    rng = np.random.default_rng(seed)
    answers = 0
    for _ in range(num_studies):
        study = Simulated(rng, 0.0)
        for look, (first, last) in enumerate(((1, 7), (7, 11), (11, 17)), start=1):
            study.confirm(range(first, last))
            if study.rank(alpha_of_look(look)).verdict.answer == "yes":
                answers += 1
                break
    return answers / num_studies


def _bound(num_studies):
    return stats.binom.ppf(0.99, num_studies, 0.05) / num_studies


def test_twelve_studies_without_a_difference_keep_the_bound_in_both_questions():
    assert max(_error_shares(12, seed=1)) <= _bound(12)


def test_the_second_question_finds_a_real_gain_of_changing_the_optimizer():
    rng = np.random.default_rng(2)
    study = Simulated(rng, 0.0)
    for identity in study.truth:
        study.truth[identity] -= 0.2 * ("muon" in identity)
    study.records.clear()
    for arm, schedule in SPACE:
        study.add(arm, schedule, 0, study.truth[schedule_identity(schedule)])
    study.best = champions(group_by_schedule(study.records))
    study.confirm(range(1, 9))
    line = study.rank().verdict.switching
    assert line.difference.nats == pytest.approx(0.2, abs=0.05)
    assert (line.adjusted_p or line.test.p_value) < 0.01


def test_the_three_intervals_of_twelve_studies_cover_the_truth_as_a_rule():
    assert min(_coverages(12, seed=3)) >= 0.75


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_studies_without_a_difference_keep_the_bound_in_both_questions():
    yes, found = _error_shares(1000, seed=4)
    assert yes <= 0.067
    assert found <= 0.067


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_three_intervals_of_a_thousand_studies_cover_the_truth():
    for share in _coverages(1000, seed=5):
        assert 0.92 <= share <= 0.98


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_looking_three_times_says_yes_falsely_within_the_bound():
    assert _false_yes_over_looks(1000, seed=6) <= 0.067
