"""On many simulated studies, rounds of searching keep the bound of false yeses, and intervals cover the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.results.simulated_errors import (
    CASES,
    bound,
    covered_shares,
    in_rounds,
)


@pytest.mark.slow
def test_a_thousand_studies_in_six_rounds_say_yes_within_the_binomial_bound():
    rng = np.random.default_rng(6)
    assert sum(in_rounds(rng) for _ in range(1000)) / 1000 <= bound(1000)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["seeds alone", "documents as well", "skewed noise"])
def test_intervals_of_a_thousand_studies_cover_the_truth_after_every_seed(name):
    """At 95 %, less what 1,000 draws may miss it by; those of the ladder all at once."""
    lowest = stats.binom.ppf(0.01, 1000, 0.95) / 1000
    settings = {key: value for key, value in CASES[name].items() if key != "worse"}
    assert min(covered_shares(1000, seed=6, **settings)) >= lowest
