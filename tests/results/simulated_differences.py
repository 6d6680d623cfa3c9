"""Differences of simulated confirmations whose truth is known, and what the sequential test says of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mbo_search.results.statistics.documents import DocumentDifferences
from mbo_search.results.statistics.sequential import SequentialTest, Spending, sequential_test

SD_NATS = 0.0086
MOST_SEEDS = 60

Draw = Callable[[np.random.Generator, int], np.ndarray]


def normal(rng, num_seeds):
    return rng.standard_normal(num_seeds)


def heavy(rng, num_seeds):
    """Student's t with five degrees of freedom."""
    return rng.standard_t(5, num_seeds)


def skewed(rng, num_seeds):
    """A gamma distribution of skewness -0.5: the side on which a t test errs too often."""
    return 16 - rng.gamma(16, size=num_seeds)


def two_point(rng, num_seeds):
    return rng.choice([-1.0, 1.0], num_seeds)


DRAWS: Sequence[Draw] = (normal, heavy, skewed, two_point)


def differences(rng, draw=normal, mean_nats=0.0, num_seeds=MOST_SEEDS) -> list[float]:
    return (mean_nats + SD_NATS * draw(rng, num_seeds)).tolist()


def crossed(rng, *, num_documents=80, document_sd=SD_NATS, num_seeds=MOST_SEEDS, mean_nats=0.0):
    """Seeds and documents of unequal length, with effects of both and noise in every cell around the mean."""
    tokens = np.maximum(20, rng.lognormal(6.0, 0.7, num_documents)).astype(int)
    effects = mean_nats + SD_NATS * rng.standard_normal((num_seeds, 1))
    effects = effects + document_sd * rng.standard_normal((1, num_documents))
    effects = effects + SD_NATS * rng.standard_normal((num_seeds, num_documents)) * np.sqrt(400 / tokens)
    return DocumentDifferences(tuple(tokens.tolist()), tuple(map(tuple, (effects * tokens).tolist())))


def sequential_of(documents: DocumentDifferences, spending: Spending) -> SequentialTest:
    return sequential_test(documents.seed_means, documents=documents, spending=spending)
