"""Prior covariance of the losses after two prefixes of schedules.

The loss after a stage is taken as a sum of effects:

    main    of every stage's settings; it fades the more stages follow, and is alike for one strategy in two stages
    pair    of every stage's settings together with those of the stage before
    prefix  of the whole prefix up to a stage
    fresh   of the last stage alone: noise of a high learning rate, say, that the next stage takes away

So a boundary loss is evidence about every schedule with the same prefix, and about those with similar ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbo_search.engine.tree.paths import Columns, Floats, Ints, Paths

OFFSET = 4.0
"""Prior variance of the mean loss after a stage, relative to that of the main effects."""


RELEVANCE = 1.5
"""How far the logarithm of a parameter's weight may lie from that of all parameters of its kind."""

_RANGES = (
    (0.3, 1.0),
    (0.2, 0.95),
    (0.0, 0.9),
    (-1.5, 1.0),
    (-1.5, 1.0),
    (-3.0, 0.0),
    (-4.0, -0.5),
    (-3.0, 0.5),
    (-6.0, -2.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """Covariance function by its hyperparameters; variances are relative to that of the main effects.

    Attributes:
        persistence: Remaining part of an effect after another stage, in (0, 1].
        across: Correlation of a strategy's effects in two stages, in [0, 1).
        annealed: Factor of `across` where one of the two is the last stage, in [0, 1).
        weights: Of every column of the settings: 1 / scale^2 of a number, where `scale` is the distance at which
            similarity falls off, in spans of the parameter; of a name the logarithm of similarity that a
            differing one costs. Kernel [columns].
        pair: Variance of the effects of two stages together.
        prefix: Variance of the effects of whole prefixes.
        fresh: Variance of the effects that the next stage takes away.
        noise: Variance between repetitions of a training run.
    """

    persistence: float
    across: float
    annealed: float
    weights: Floats
    pair: float
    prefix: float
    fresh: float
    noise: float

    def similarity(self, first: Floats, second: Floats) -> Floats:
        """Similarity of settings, in (0, 1]."""
        scaled = first * self.weights
        squares = (scaled * first).sum(axis=1)[:, None] + (second**2 @ self.weights)[None] - 2 * (scaled @ second.T)
        found: Floats = np.exp(-0.5 * np.maximum(squares, 0.0))
        return found

    def similarity_of_pairs(self, first: Floats, second: Floats) -> Floats:
        """Similarity of each setting to the one at its side, in (0, 1]."""
        found: Floats = np.exp(-0.5 * ((first - second) ** 2 @ self.weights))
        return found

    def correlation(self, stage: int, other: int, num_stages: int) -> float:
        """Correlation of a strategy's effects in two stages."""
        if stage == other:
            return 1.0
        return self.across * (self.annealed if num_stages - 1 in (stage, other) else 1.0)

    def remaining(self, last: Ints, num_stages: int) -> Floats:
        """Remaining part of each stage's effect after the last one; shape [paths, stages]."""
        age = last[:, None] - np.arange(num_stages)[None, :]
        return np.where(age >= 0, self.persistence ** np.maximum(age, 0), 0.0)


class KernelPrior:
    """The prior of the hyperparameters, as a cube: every point of [0, 1]^size is a kernel."""

    def __init__(self, columns: Columns) -> None:
        """Make the prior."""
        self._columns = columns
        self.size = len(_RANGES) + columns.num_parameters

    def kernel(self, point: Floats) -> Kernel:
        """Kernel at a point."""
        persistence, across, annealed, names, numbers, pair, prefix, fresh, noise = (
            float(low + (high - low) * at) for (low, high), at in zip(_RANGES, point, strict=False)
        )
        columns = self._columns
        own = np.exp(RELEVANCE * (2 * point[len(_RANGES) :] - 1))
        common = np.exp(np.where(np.arange(columns.num_parameters) < columns.num_numbers, -2 * numbers, names))
        return Kernel(
            persistence=persistence,
            across=across,
            annealed=annealed,
            weights=(common * own)[list(columns.groups)],
            pair=float(np.exp(pair)),
            prefix=float(np.exp(prefix)),
            fresh=float(np.exp(fresh)),
            noise=float(np.exp(noise)),
        )


def covariance(kernel: Kernel, first: Paths, second: Paths) -> Floats:
    """Prior covariance of losses, noise left out."""
    similar = kernel.similarity(first.features, second.features)
    stages = first.num_stages
    weights = kernel.remaining(first.last, stages), kernel.remaining(second.last, stages)
    found = _main(kernel, first, second, similar) + _fresh(kernel, first, second, similar)
    alike_prefix = alike_before = np.ones_like(found)
    for stage in range(stages):
        alike = _gathered(similar[first.rows[:, stage]], second.rows[:, stage])
        alike_prefix = alike_prefix * alike
        if stage > 0:
            faded = weights[1][:, stage, None] * weights[0][None, :, stage]
            found += faded * (kernel.pair * alike_before * alike + kernel.prefix * alike_prefix)
        alike_before = alike
    found += OFFSET * (second.last[:, None] == first.last[None, :])
    return found.T


def variance(kernel: Kernel, paths: Paths) -> Floats:
    """Prior variance of the loss after each prefix, noise left out."""
    stages = paths.num_stages
    weights = kernel.remaining(paths.last, stages)
    found = np.full(len(paths.last), kernel.fresh + OFFSET)
    found += (weights**2).sum(axis=1) + (kernel.pair + kernel.prefix) * (weights[:, 1:] ** 2).sum(axis=1)
    for stage in range(stages):
        for other in range(stage):
            settings = paths.features[paths.rows[:, stage]], paths.features[paths.rows[:, other]]
            similar = kernel.similarity_of_pairs(*settings)
            correlation = kernel.correlation(stage, other, stages)
            found += 2 * correlation * weights[:, stage] * weights[:, other] * similar
    return found


def _main(kernel: Kernel, first: Paths, second: Paths, similar: Floats) -> Floats:
    stages = first.num_stages
    weights = kernel.remaining(first.last, stages), kernel.remaining(second.last, stages)
    found = np.zeros((len(second.last), len(first.last)))
    for stage in range(stages):
        to_settings = np.zeros((len(first.last), similar.shape[1]))
        for other in range(stages):
            factor = kernel.correlation(stage, other, stages) * weights[0][:, other]
            to_settings += factor[:, None] * similar[first.rows[:, other]]
        found += _gathered(to_settings, second.rows[:, stage]) * weights[1][:, stage, None]
    return found


def _fresh(kernel: Kernel, first: Paths, second: Paths, similar: Floats) -> Floats:
    stages = first.num_stages
    between = np.array(
        [[kernel.correlation(stage, other, stages) for other in range(stages)] for stage in range(stages)]
    )
    ends = [paths.rows[np.arange(len(paths.last)), paths.last] for paths in (first, second)]
    alike = _gathered(similar[ends[0]], ends[1])
    found: Floats = kernel.fresh * alike * between[second.last][:, first.last]
    return found


def _gathered(of_settings: Floats, rows: Ints) -> Floats:
    """From [first, settings] to [second, first]: copying whole rows is several times as fast as picking columns."""
    found: Floats = np.ascontiguousarray(of_settings.T)[rows]
    return found
