"""Proves that sweeps try what stands for all of a stage: everything where it is little, else the middles."""

from __future__ import annotations

import itertools

import pytest

from mbo_search.engine.tree.initial_design import InitialDesign
from tests.helpers.staged_space import NUM_STAGES, mixed_space, small_space


def swept(space, size, seed=0):
    design = InitialDesign(space, num_stages=NUM_STAGES, size=size, seed=seed)
    return design, design.points({}, 0)


@pytest.mark.parametrize("seed", range(3))
def test_learning_rates_are_tried_at_the_middles_of_equal_parts_of_their_range(seed):
    rates: dict[str, list[float]] = {}
    for point in swept(mixed_space, 12, seed)[1]:
        rates.setdefault(point["stage/0/optimizer"], []).append(point["stage/0/lr_relative"])
    assert set(rates) == {"adamw", "lion", "sgd"}
    for tried in (rates["adamw"], rates["lion"]):
        assert 0.125 < min(tried) < 1 < max(tried) < 8
        assert min(tried) > 0.16
        assert max(tried) < 6.25


def test_a_stage_of_few_strategies_is_swept_whole():
    design, points = swept(small_space, 12)
    assert design.is_exhaustive({}, 0)
    assert len({tuple(sorted(point.items()))[:2] for point in points}) == 5


@pytest.mark.parametrize("space", [mixed_space, small_space])
def test_a_stage_of_more_strategies_is_not(space):
    design, points = swept(space, 4)
    assert not design.is_exhaustive({}, 0)
    assert len(points) == 4
    assert all(one != other for one, other in itertools.combinations(points, 2))
