"""The model of the final loss: a forest whose trees disagree where little is known.

References:
    Geurts, Ernst & Wehenkel 2006, "Extremely randomized trees".
    Hutter, Hoos & Leyton-Brown 2011, "Sequential model-based optimization" (forests with spread of the trees).
    Differs from the papers: losses far above the median are clipped, so that one diverged trial does not take all
    the splits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sklearn
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.tree import ExtraTreeRegressor

from mbo_search.search.tree.features import Encoder
from mbo_search.search.tree.history import History

__all__ = ["Surrogate", "fit_surrogate", "log_expected_improvement"]

NUM_TREES = 48
MOST_SAMPLES = 400
"""Draws that a tree is grown on: more would only take time at thousands of trials."""
MAX_FEATURES = 0.7
CLIP_QUANTILE = 0.6
MIN_SPREAD = 1e-4
"""Nats; keeps the improvement defined where all trees agree."""


class Surrogate:
    """Predicts the final loss of whole schedules.

    Attributes:
        best_loss: Lowest loss that it was fitted on.
        num_fitted: Trials that it was fitted on.
    """

    def __init__(self, trees: Sequence[ExtraTreeRegressor], best_loss: float, num_fitted: int) -> None:
        self._trees = trees
        self.best_loss = best_loss
        self.num_fitted = num_fitted

    def predict(self, encoded: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and spread of the predicted final loss, in nats.

        Args:
            encoded: Whole schedules, encoded; shape [schedules, columns].
        """
        each = np.stack([tree.tree_.predict(encoded).ravel() for tree in self._trees])
        return each.mean(axis=0), each.std(axis=0) + MIN_SPREAD


def fit_surrogate(history: History, encoder: Encoder, seed: int) -> Surrogate:
    """Fit a model to all finished schedules; those that diverged count as bad as the worst.

    Args:
        history: At least one complete trial.
        encoder: Turns schedules into numbers.
        seed: Seed of the forest.
    """
    losses = np.array([one.loss for one in history.complete], dtype=np.float64)
    rows = [one.params for one in (*history.complete, *history.infeasible)]
    ceiling = losses[0] + 2.0 * (np.quantile(losses, CLIP_QUANTILE) - losses[0]) + MIN_SPREAD
    bad = np.full(len(history.infeasible), ceiling)
    targets = np.minimum(np.concatenate([losses, bad]), ceiling)
    trees = _grow(encoder.encode(rows), targets, np.random.default_rng(seed))
    return Surrogate(trees, float(losses[0]), len(rows))


def _grow(
    encoded: NDArray[np.float32], targets: NDArray[np.float64], rng: np.random.Generator
) -> list[ExtraTreeRegressor]:
    """Grow the trees one by one: the library's forest spends ten times as long on copies of its settings."""
    trees: list[ExtraTreeRegressor] = []
    with sklearn.config_context(skip_parameter_validation=True):
        for _ in range(NUM_TREES):
            chosen = rng.integers(len(targets), size=min(len(targets), MOST_SAMPLES))
            tree = ExtraTreeRegressor(max_features=MAX_FEATURES, random_state=int(rng.integers(2**31)))
            trees.append(tree.fit(encoded[chosen], targets[chosen], check_input=False))
    return trees


def log_expected_improvement(
    best: float, mean: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Logarithm of the expected improvement over the best loss, in log nats.

    Args:
        best: Lowest loss so far.
        mean: Predicted losses.
        spread: Standard deviations of the predictions, above 0.

    Returns:
        One value a prediction; very negative where improvement is out of reach.
    """
    distance = (best - mean) / spread
    improvement = spread * (distance * norm.cdf(distance) + norm.pdf(distance))
    logarithm: NDArray[np.float64] = np.log(np.maximum(improvement, 1e-300))
    return logarithm
