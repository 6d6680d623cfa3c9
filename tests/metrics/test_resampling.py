"""A resampled difference is that of the scores of drawn examples; its interval holds as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from mbo_search.metrics.labels import label_statistics
from mbo_search.metrics.measure import Floats, corpus_score, text_statistics
from mbo_search.metrics.registry import MEASURES, TEXT_MEASURES
from mbo_search.metrics.resampling import ResampledDifference, resampled_difference

WORDS = ("north", "south", "sea", "wind", "rain", "sun")


def random_statistics(name: str, number: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    if name not in TEXT_MEASURES:
        return label_statistics(rng.integers(0, 4, number).tolist(), rng.integers(0, 4, number).tolist())
    answers, references = ([" ".join(rng.choice(WORDS, 6)) for _ in range(number)] for _ in range(2))
    return text_statistics(TEXT_MEASURES[name], answers, references)


@pytest.mark.parametrize("name", sorted(MEASURES))
def test_totals_of_draws_score_as_the_drawn_examples_do(name: str) -> None:
    measure, statistics = MEASURES[name], random_statistics(name, number=20, seed=1)
    drawn = np.random.default_rng(2).integers(0, 20, (8, 20))
    weights = np.stack([np.bincount(row, minlength=20) for row in drawn]).astype(np.float64)
    together = measure.of_totals(weights @ measure.counts(statistics))
    assert together == pytest.approx([corpus_score(measure, statistics[row]) for row in drawn], abs=1e-10)


def test_a_mean_has_the_error_of_a_mean() -> None:
    """Examples alone vary: each seed's differences are the same."""
    rng = np.random.default_rng(3)
    first, second = rng.normal(0.6, 0.2, (200, 1)), rng.normal(0.5, 0.2, (200, 1))
    found = resampled_difference(MEASURES["token_f1"], [first] * 3, [second] * 3)
    assert found.mean == pytest.approx(float((first - second).mean()))
    assert found.standard_error == pytest.approx(float((first - second).std() / np.sqrt(200)), rel=0.1)


def test_seeds_alone_have_the_error_of_seeds() -> None:
    levels = [0.1, 0.2, 0.4, 0.3]
    first = [np.full((50, 1), level) for level in levels]
    found = resampled_difference(MEASURES["token_f1"], first, [np.zeros((50, 1))] * 4)
    assert found.standard_error == pytest.approx(np.std(levels, ddof=1) / 2)
    assert found.low is not None
    assert found.low < found.mean == pytest.approx(0.25)


def test_few_seeds_or_examples_give_no_interval() -> None:
    many = np.ones((9, 1))
    for runs in ([many], [many[:1]] * 3):
        found = resampled_difference(MEASURES["token_f1"], runs, [0 * run for run in runs])
        assert (found.mean, found.low, found.p_value) == (1.0, None, None)


def test_equal_answers_differ_in_nothing() -> None:
    runs = [random_statistics("chrf", 9, seed) for seed in range(2)]
    found = resampled_difference(MEASURES["chrf"], runs, runs)
    assert (found.mean, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


def simulated(rng: np.random.Generator, num_seeds: int) -> ResampledDifference:
    """Two equally good schedules; seeds, examples, and both together move their differences."""
    of_seeds, of_examples = rng.normal(0, 0.03, (num_seeds, 1, 1)), rng.normal(0, 0.3, (1, 100, 1))
    first = of_seeds + of_examples + rng.normal(0, 0.3, (num_seeds, 100, 1))
    return resampled_difference(MEASURES["token_f1"], list(first), list(np.zeros_like(first)))


@pytest.mark.parametrize("num_seeds", [3, 6])
def test_the_interval_holds_as_often_as_it_says(num_seeds: int) -> None:
    rng = np.random.default_rng(4)
    held = [found.low <= 0 <= found.high for found in (simulated(rng, num_seeds) for _ in range(60))]
    assert np.mean(held) >= 0.87
