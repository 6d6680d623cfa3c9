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
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.ensemble import ExtraTreesRegressor

from mbo_search.search.tree.features import Encoder
from mbo_search.search.tree.history import History, Params

__all__ = ["Surrogate", "fit_surrogate", "log_expected_improvement"]

NUM_TREES = 64
CLIP_QUANTILE = 0.6
MIN_SPREAD = 1e-4
"""Nats; keeps the improvement defined where all trees agree."""


class Surrogate:
    """Predicts the final loss of whole schedules.

    Attributes:
        best_loss: Lowest loss that it was fitted on.
        num_fitted: Trials that it was fitted on.
    """

    def __init__(self, encoder: Encoder, forest: ExtraTreesRegressor, best_loss: float, num_fitted: int) -> None:
        self._encoder = encoder
        self._forest = forest
        self.best_loss = best_loss
        self.num_fitted = num_fitted

    def predict(self, rows: Sequence[Params]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and spread of the predicted final loss, in nats.

        Args:
            rows: Parameters of whole schedules.
        """
        encoded = self._encoder.encode(rows).astype(np.float32)
        each = np.stack([tree.tree_.predict(encoded)[:, 0] for tree in self._forest.estimators_])
        return each.mean(axis=0), each.std(axis=0) + MIN_SPREAD


def fit_surrogate(history: History, seed: int) -> Surrogate:
    """Fit a model to all finished schedules; those that diverged count as bad as the worst.

    Args:
        history: At least one complete trial.
        seed: Seed of the forest.
    """
    losses = np.array([one.loss for one in history.complete], dtype=np.float64)
    rows = [one.params for one in (*history.complete, *history.infeasible)]
    ceiling = losses[0] + 2.0 * (np.quantile(losses, CLIP_QUANTILE) - losses[0]) + MIN_SPREAD
    bad = np.full(len(history.infeasible), ceiling)
    targets = np.minimum(np.concatenate([losses, bad]), ceiling)
    encoder = Encoder(rows)
    forest = ExtraTreesRegressor(NUM_TREES, max_features=0.7, bootstrap=True, random_state=seed, n_jobs=1)
    forest.fit(encoder.encode(rows), targets)
    return Surrogate(encoder, forest, float(losses[0]), len(rows))


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
