"""On simulated studies with a known truth, champions chosen by luck included, the verdict errs rarely."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mbo_search.results.rank import rank
from mbo_search.results.ranking_values import Totals
from mbo_search.results.records import TrialRecord
from mbo_search.study.schedule import Schedule, Stage

NUM_SCHEDULES = 12
"""Schedules of each arm."""

NUM_SEEDS = 6


def _schedule(arm, index):
    shares = (1.0,) if arm == "control" else (0.5, 0.5)
    stages = [Stage(name="s", share=share, optimizer="adamw", lr=0.01 * (index + 1)) for share in shares]
    return Schedule(stages=tuple(stages))


SCHEDULES = {arm: [_schedule(arm, index) for index in range(NUM_SCHEDULES)] for arm in ("staged", "control")}


def _simulate(rng, *, spread, noise=0.02):
    """A ranking, and by how much the staged champion is truly better.

    Every schedule has a true loss; a run adds an effect of its seed, which pairing removes, and noise of its own.
    """
    truth = {arm: 3.0 + spread * rng.standard_normal(NUM_SCHEDULES) for arm in SCHEDULES}
    records, chosen = [], {}
    for arm, losses in truth.items():
        measured = losses + noise * rng.standard_normal(NUM_SCHEDULES)
        chosen[arm] = int(np.argmin(measured))
        records += [(arm, index, 0, loss) for index, loss in enumerate(measured)]
    for seed in range(1, NUM_SEEDS + 1):
        shared = 0.05 * rng.standard_normal()
        for arm, index in chosen.items():
            records.append((arm, index, seed, truth[arm][index] + shared + noise * rng.standard_normal()))
    true_gain = truth["control"][chosen["control"]] - truth["staged"][chosen["staged"]]
    return rank(
        [_record(*values, trial) for trial, values in enumerate(records)], "s", Totals(), scale="x"
    ), true_gain


def _record(arm, index, seed, loss, trial):
    return TrialRecord.model_construct(
        trial=trial,
        arm="confirm" if seed else arm,
        seed=seed,
        schedule=SCHEDULES[arm][index],
        state="complete",
        val_loss=float(loss),
    )


def _false_yes_share(num_studies, seed):
    rng = np.random.default_rng(seed)
    answers = [_simulate(rng, spread=0.0)[0].verdict.answer for _ in range(num_studies)]
    return answers.count("yes") / num_studies


def _coverage(num_studies, seed):
    rng = np.random.default_rng(seed)
    covered = []
    for _ in range(num_studies):
        ranking, true_gain = _simulate(rng, spread=0.03)
        test = ranking.comparisons[0].test
        covered.append(test.low_nats <= true_gain <= test.high_nats)
    return np.mean(covered)


def test_sixty_studies_without_a_difference_keep_the_bound():
    assert _false_yes_share(60, seed=1) <= stats.binom.ppf(0.99, 60, 0.05) / 60


def test_sixty_studies_with_a_real_spread_find_it_and_cover_it():
    rng = np.random.default_rng(2)
    answers = [_simulate(rng, spread=0.3) for _ in range(60)]
    wrong = [gain for ranking, gain in answers if ranking.verdict.answer == "yes" and gain <= 0]
    assert wrong == []
    assert sum(ranking.verdict.answer == "yes" for ranking, _ in answers) >= 15
    assert _coverage(60, seed=3) >= 0.85


@pytest.mark.slow
def test_thousand_studies_without_a_difference_say_yes_within_the_binomial_bound():
    bound = stats.binom.ppf(0.99, 1000, 0.05) / 1000
    assert bound == pytest.approx(0.067, abs=0.001)
    assert _false_yes_share(1000, seed=4) <= bound


@pytest.mark.slow
def test_intervals_of_a_thousand_studies_cover_the_truth():
    assert 0.92 <= _coverage(1000, seed=5) <= 0.98
