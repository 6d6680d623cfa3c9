"""Expected improvement of a prediction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def log_expected_improvement(
    best: float, mean: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Logarithm of the expected improvement over the best loss, in log nats."""
    from scipy.stats import norm

    distance = (best - mean) / spread
    improvement = spread * (distance * norm.cdf(distance) + norm.pdf(distance))
    logarithm: NDArray[np.float64] = np.log(np.maximum(improvement, 1e-300))
    return logarithm
