"""Gaussian process on the stage tree: a model of the losses after all prefixes of schedules.

References:
    Rasmussen & Williams 2006, "Gaussian Processes for Machine Learning".
    Duvenaud, Nickisch & Rasmussen 2011, "Additive Gaussian Processes", arXiv:1112.4394.
    Differs from the papers: the losses after all stages are observations of one process, whose effects fade from
    stage to stage; hyperparameters are weighted draws from a prior, not an optimum; losses far above the median of
    their stage are clipped, so that one diverged trial does not bend the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from mbo_search.engine.tree.history import History, Prefix
from mbo_search.engine.tree.kernel import Kernel, KernelPrior, covariance, variance
from mbo_search.engine.tree.paths import Floats, Ints, PathEncoder, Paths

NUM_DRAWS = 32
"""Draws of hyperparameters from their prior at first; a quarter as many whenever they are chosen again."""
NUM_KEPT = 3
NUM_ROUNDS = 2
NUM_NEAR = 4
"""Hyperparameters drawn near each of the kept ones, in every round."""
NEAR_SPREAD = 0.2
MOST_OBSERVATIONS = 240
"""Boundary losses that the model is conditioned on: more would only take time at thousands of trials."""
MOST_FOR_HYPERPARAMS = 120
CLIP_QUANTILE = 0.6
WEIGHT_OF_ALL = 1.0
"""Number of losses that the spread of all losses counts as in the spread of a stage."""
MIN_SPREAD = 1e-4
"""Nats; keeps the improvement defined where the model is certain."""
JITTER = 1e-6


def observed_losses(history: History) -> dict[Prefix, float]:
    """Loss after every prefix that was trained, in the order of training; infinite after a dead end."""
    found: dict[Prefix, float] = {}
    for one in history.trials:
        for stage, loss in sorted(one.boundaries.items()):
            found.setdefault(one.blocks[: stage + 1], loss)
        if one.is_infeasible:
            found.setdefault(history.dead_end(one), float("inf"))
    return found


@dataclass(frozen=True, slots=True)
class _Observed:
    """Observations of a model: losses minus the median of their stage, in standard deviations of their stage.

    In nats the losses after early stages differ several times as much as those of whole schedules: taken as they
    are they would say that much of a schedule is uncertain where little is.
    """

    paths: Paths
    medians: Floats
    scales: Floats
    values: Floats


@dataclass(frozen=True, slots=True)
class _Fit:
    """Process with one draw of hyperparameters."""

    kernel: Kernel
    log_likelihood: float
    factor: Floats
    solved: Floats
    amplitude: float


class PathModel:
    """Predictor of the loss after any prefix of a schedule.

    Attributes:
        num_observed: Losses known when it was fitted.
        log_likelihood: Of the likeliest of its hyperparameters, up to a constant.
    """

    def __init__(
        self, encoder: PathEncoder, observed: _Observed, kernels: Sequence[Kernel], num_observed: int
    ) -> None:
        self._encoder = encoder
        self._observed = observed
        fits = _fits(observed, kernels)
        self._fits = fits
        self.log_likelihood = fits[0].log_likelihood
        weights = np.exp(np.array([fit.log_likelihood - fits[0].log_likelihood for fit in fits]))
        self._weights = weights / weights.sum()
        self.num_observed = num_observed

    def encode(self, prefixes: Sequence[Prefix]) -> Paths:
        """Encode prefixes for this model."""
        return self._encoder.encode(prefixes)

    def predict(self, paths: Paths) -> tuple[Floats, Floats]:
        """Mean and spread of the predicted losses, in nats; shape [paths] each."""
        known = self._observed
        means, variances = [], []
        for fit in self._fits:
            shared = covariance(fit.kernel, known.paths, paths)
            means.append(shared.T @ fit.solved)
            explained = (solve_triangular(fit.factor, shared, lower=True) ** 2).sum(axis=0)
            left = np.maximum(variance(fit.kernel, paths) - explained, 0.0)
            variances.append(left * fit.amplitude)
        mean = np.average(means, axis=0, weights=self._weights)
        between = (np.array(means) - mean) ** 2
        spread = np.sqrt(np.average(np.array(variances) + between, axis=0, weights=self._weights))
        scale = known.scales[paths.last]
        return mean * scale + known.medians[paths.last], spread * scale + MIN_SPREAD


def choose_hyperparams(
    losses: Mapping[Prefix, float], encoder: PathEncoder, num_stages: int, *, last: Sequence[Floats], seed: int
) -> Sequence[Floats]:
    """Choose the likeliest hyperparameters among the last ones, others near them, and draws from the prior."""
    observed = _observe(_thinned(losses, MOST_FOR_HYPERPARAMS), encoder, num_stages)
    rng, prior = np.random.default_rng([seed, len(losses)]), KernelPrior(encoder.columns)
    points = [*last, *rng.uniform(size=(NUM_DRAWS if not last else NUM_DRAWS // 4, prior.size))]
    for _ in range(NUM_ROUNDS):
        points = _likeliest(observed, prior, points)
        points += [_near(point, rng) for point in points for _ in range(NUM_NEAR)]
    return _likeliest(observed, prior, points)


def _likeliest(observed: _Observed, prior: KernelPrior, points: Sequence[Floats]) -> list[Floats]:
    by_likelihood = sorted(points, key=lambda point: -_fit(observed, prior.kernel(point)).log_likelihood)
    return by_likelihood[:NUM_KEPT]


def _near(point: Floats, rng: np.random.Generator) -> Floats:
    """Move some coordinates a little, and reflect those that would leave the cube."""
    moved = point + NEAR_SPREAD * rng.standard_normal(len(point)) * (rng.random(len(point)) < 0.5)
    found: Floats = 1 - np.abs(1 - np.abs(moved) % 2)
    return found


def fit_path_model(
    losses: Mapping[Prefix, float], encoder: PathEncoder, kernels: Sequence[Floats], num_stages: int
) -> PathModel:
    """Condition a model on what was observed."""
    prior = KernelPrior(encoder.columns)
    kept = _thinned(losses, MOST_OBSERVATIONS)
    return PathModel(
        encoder, _observe(kept, encoder, num_stages), [prior.kernel(point) for point in kernels], len(losses)
    )


def _thinned(losses: Mapping[Prefix, float], count: int) -> Mapping[Prefix, float]:
    """Keep the lowest losses of whole schedules in one half, and losses evenly spread over time in the other."""
    if len(losses) <= count:
        return losses
    longest = max(map(len, losses))
    whole = sorted((loss, index) for index, (path, loss) in enumerate(losses.items()) if len(path) == longest)
    best = {index for _, index in whole[: count // 2]}
    others = [index for index in range(len(losses)) if index not in best]
    step = max(1.0, len(others) / (count - len(best)))
    best |= {others[int(step * number)] for number in range(int(len(others) / step))}
    return {path: loss for index, (path, loss) in enumerate(losses.items()) if index in best}


def _observe(losses: Mapping[Prefix, float], encoder: PathEncoder, num_stages: int) -> _Observed:
    paths = encoder.encode(list(losses))
    values = np.array(list(losses.values()), dtype=np.float64)
    medians = np.zeros(num_stages)
    for stage in range(num_stages):
        here = paths.last == stage
        if here.any():
            values[here] = _clipped(values[here])
            medians[stage] = np.median(values[here])
    values = values - medians[paths.last]
    scales = _scales(values, paths.last, num_stages)
    return _Observed(paths, medians, scales, values / scales[paths.last])


def _scales(values: Floats, last: Ints, num_stages: int) -> Floats:
    """Spread of the losses after each stage; where few are known, mostly that of all losses."""
    common = float(np.mean(values**2))
    squares, counts = np.zeros(num_stages), np.zeros(num_stages)
    np.add.at(squares, last, values**2)
    np.add.at(counts, last, 1.0)
    spreads: Floats = np.sqrt((common * WEIGHT_OF_ALL + squares) / (WEIGHT_OF_ALL + counts))
    return np.maximum(spreads, MIN_SPREAD)


def _clipped(values: Floats) -> Floats:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.zeros_like(values)
    low = float(finite.min())
    return np.minimum(values, low + 2.0 * (float(np.quantile(finite, CLIP_QUANTILE)) - low) + MIN_SPREAD)


def _fits(observed: _Observed, kernels: Sequence[Kernel]) -> list[_Fit]:
    """Fit the process with every kernel, likeliest first."""
    return sorted((_fit(observed, kernel) for kernel in kernels), key=lambda fit: -fit.log_likelihood)


def _fit(observed: _Observed, kernel: Kernel) -> _Fit:
    """Fit the process with a kernel, at its likeliest amplitude."""
    paths, values = observed.paths, observed.values
    matrix = covariance(kernel, paths, paths)
    matrix[np.diag_indices_from(matrix)] += kernel.noise + JITTER
    factor = cho_factor(matrix, lower=True)
    solved = cho_solve(factor, values)
    amplitude = float(values @ solved) / len(values) + JITTER
    likelihood = -0.5 * len(values) * np.log(amplitude) - float(np.log(np.diag(factor[0])).sum())
    return _Fit(kernel, likelihood, factor[0], solved, amplitude)
