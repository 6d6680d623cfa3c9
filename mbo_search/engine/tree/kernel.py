"""How alike the losses behind two beginnings of schedules are, before anything was trained.

The loss behind a stage is taken as a sum of effects:

    main    of every stage's settings; it fades the more stages follow, and is alike for one strategy in two stages
    pair    of every stage's settings together with those of the stage before
    way     of the whole beginning up to a stage
    fresh   of the last stage alone: noise of a high learning rate, say, that the next stage takes away

A boundary loss thereby tells something of every schedule that begins alike, and of those that begin similarly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbo_search.engine.tree.paths import Columns, Floats, Ints, Paths

OFFSET = 4.0
"""Prior variance of the mean loss behind a stage, next to a variance of 1 of the main effects."""


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
class Shape:
    """Hyperparameters of the covariance; variances are relative to that of the main effects.

    Attributes:
        persistence: What is left of an effect after another stage, in (0, 1].
        across: Correlation of a strategy's effects in two stages, in [0, 1).
        annealed: Factor of `across` where one of the two is the last stage, in [0, 1).
        weights: Of every column of the settings: 1 / scale^2 of a number, where `scale` is the distance at which
            similarity falls off, in spans of the parameter; of a name the logarithm of similarity that a
            differing one costs. Shape [columns].
        pair: Variance of the effects of two stages together.
        way: Variance of the effects of whole beginnings.
        fresh: Variance of the effects that the next stage takes away.
        noise: Variance of what repeats of a training would differ by.
    """

    persistence: float
    across: float
    annealed: float
    weights: Floats
    pair: float
    way: float
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
        """What is left of each stage's effect behind the last one; shape [paths, stages]."""
        age = last[:, None] - np.arange(num_stages)[None, :]
        return np.where(age >= 0, self.persistence ** np.maximum(age, 0), 0.0)


class ShapePrior:
    """The prior of the hyperparameters, as a cube: every point of [0, 1]^size is a shape."""

    def __init__(self, columns: Columns) -> None:
        """Make the prior."""
        self._columns = columns
        self.size = len(_RANGES) + columns.num_parameters

    def shape(self, point: Floats) -> Shape:
        """The shape at a point."""
        persistence, across, annealed, names, numbers, pair, way, fresh, noise = (
            float(low + (high - low) * at) for (low, high), at in zip(_RANGES, point, strict=False)
        )
        columns = self._columns
        own = np.exp(RELEVANCE * (2 * point[len(_RANGES) :] - 1))
        common = np.exp(np.where(np.arange(columns.num_parameters) < columns.num_numbers, -2 * numbers, names))
        return Shape(
            persistence=persistence,
            across=across,
            annealed=annealed,
            weights=(common * own)[list(columns.groups)],
            pair=float(np.exp(pair)),
            way=float(np.exp(way)),
            fresh=float(np.exp(fresh)),
            noise=float(np.exp(noise)),
        )


def covariance(shape: Shape, first: Paths, second: Paths) -> Floats:
    """Prior covariance of losses, noise left out."""
    similar = shape.similarity(first.features, second.features)
    stages = first.num_stages
    weights = shape.remaining(first.last, stages), shape.remaining(second.last, stages)
    found = _main(shape, first, second, similar) + _fresh(shape, first, second, similar)
    way = alike_before = np.ones_like(found)
    for stage in range(stages):
        alike = _gathered(similar[first.rows[:, stage]], second.rows[:, stage])
        way = way * alike
        if stage > 0:
            faded = weights[1][:, stage, None] * weights[0][None, :, stage]
            found += faded * (shape.pair * alike_before * alike + shape.way * way)
        alike_before = alike
    found += OFFSET * (second.last[:, None] == first.last[None, :])
    return found.T


def variance(shape: Shape, paths: Paths) -> Floats:
    """Prior variance of the loss behind each beginning, noise left out."""
    stages = paths.num_stages
    weights = shape.remaining(paths.last, stages)
    found = np.full(len(paths.last), shape.fresh + OFFSET)
    found += (weights**2).sum(axis=1) + (shape.pair + shape.way) * (weights[:, 1:] ** 2).sum(axis=1)
    for stage in range(stages):
        for other in range(stage):
            settings = paths.features[paths.rows[:, stage]], paths.features[paths.rows[:, other]]
            similar = shape.similarity_of_pairs(*settings)
            correlation = shape.correlation(stage, other, stages)
            found += 2 * correlation * weights[:, stage] * weights[:, other] * similar
    return found


def _main(shape: Shape, first: Paths, second: Paths, similar: Floats) -> Floats:
    stages = first.num_stages
    weights = shape.remaining(first.last, stages), shape.remaining(second.last, stages)
    found = np.zeros((len(second.last), len(first.last)))
    for stage in range(stages):
        to_settings = np.zeros((len(first.last), similar.shape[1]))
        for other in range(stages):
            factor = shape.correlation(stage, other, stages) * weights[0][:, other]
            to_settings += factor[:, None] * similar[first.rows[:, other]]
        found += _gathered(to_settings, second.rows[:, stage]) * weights[1][:, stage, None]
    return found


def _fresh(shape: Shape, first: Paths, second: Paths, similar: Floats) -> Floats:
    stages = first.num_stages
    between = np.array(
        [[shape.correlation(stage, other, stages) for other in range(stages)] for stage in range(stages)]
    )
    ends = [paths.rows[np.arange(len(paths.last)), paths.last] for paths in (first, second)]
    alike = _gathered(similar[ends[0]], ends[1])
    found: Floats = shape.fresh * alike * between[second.last][:, first.last]
    return found


def _gathered(of_settings: Floats, rows: Ints) -> Floats:
    """From [first, settings] to [second, first]: copying whole rows is several times as fast as picking columns."""
    found: Floats = np.ascontiguousarray(of_settings.T)[rows]
    return found
