"""On simulated studies with a known truth, champions chosen by luck included, a false yes is rare.

A study counts as a yes as soon as every declared test has found a gain at any seed: that is what a verdict needs at
least, and a test remembers every look it has taken, so looking once at the end sees all yeses on the way. The small
runs look through whole rankings after every seed and prove that.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.results.simulated import (
    ONE_RUNG_AS_GOOD,
)
from tests.results.simulated_errors import (
    CASES,
    LAST_SEED,
    bound,
    false_yes_share,
    found_all,
    in_rounds,
    simulated,
)


@pytest.mark.parametrize("name", ["seeds alone", "documents as well", "runs that diverge"])
def test_a_ranking_after_every_seed_says_yes_only_where_the_last_look_knows_of_it(name):
    """With a gain that is found on the way, so that there is something to say; never before the sixth seed."""
    rng = np.random.default_rng(8)
    study = simulated(rng, **CASES[name], **{"worse": {**ONE_RUNG_AS_GOOD, "settings": 0.05}})
    answers = [study.rank(last).verdict.answer for last in range(2, LAST_SEED + 1)]
    assert set(answers[:4]) == {"undecided"}
    found = [one.test.better_at for one in study.compared()["declared"]]
    assert None not in found
    if name == "runs that diverge":
        assert set(answers) <= {"yes", "undecided"}
    else:
        # Seed 2 is the first; a yes comes with the last test that finds a gain, and with six seeds at the earliest.
        assert answers.index("yes") + 2 == max(6, *found)
        assert set(answers[answers.index("yes") :]) == {"yes"}


@pytest.mark.parametrize("name", CASES)
def test_few_studies_without_a_difference_keep_the_bound(name):
    assert false_yes_share(40, seed=1, **CASES[name]) <= bound(40)


def test_few_studies_in_rounds_keep_the_bound():
    rng = np.random.default_rng(2)
    assert sum(in_rounds(rng) for _ in range(15)) / 15 <= bound(15)


def test_real_gains_are_found_and_no_wrong_ones():
    rng = np.random.default_rng(3)
    found = [simulated(rng, spread=0.05, worse={}) for _ in range(40)]
    yes = [study for study in found if found_all(study.compared()["declared"])]
    assert len(yes) >= 10
    assert all(study.true_gain(one.trial, one.other) > 0 for study in yes for one in study.compared()["declared"])


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_thousand_studies_without_a_difference_say_yes_within_the_binomial_bound(name):
    assert bound(2000) == pytest.approx(0.0615, abs=0.002)
    assert false_yes_share(2000, seed=4, **CASES[name]) <= bound(2000)
