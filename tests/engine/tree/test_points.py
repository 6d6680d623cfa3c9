"""Proves that small spaces are listed completely, each point once, and large ones are refused."""

from __future__ import annotations

import pytest

from mbo_search.engine.tree.grid import grid_points
from mbo_search.engine.tree.history import blocks_of
from mbo_search.engine.tree.points import all_points, stage_points
from mbo_search.errors import StudyError
from tests.helpers.staged_space import NUM_STAGES, mixed_space, small_space


def test_every_point_is_listed_once():
    points = all_points(small_space, 125, num_stages=NUM_STAGES)
    assert len({blocks_of(point, NUM_STAGES) for point in points}) == len(points) == 125


def test_a_space_above_the_limit_is_not_listed():
    assert all_points(small_space, 124, num_stages=NUM_STAGES) is None


def test_a_space_with_free_numbers_is_not_listed():
    assert all_points(mixed_space, 10**6, num_stages=NUM_STAGES) is None


def test_numbers_on_a_grid_are_listed():
    def define(suggest):
        return suggest.number("stage/0/share", 0.1, 0.4, log=False, step=0.1)

    points = all_points(define, 10, num_stages=1)
    assert [round(point["stage/0/share"], 9) for point in points] == [0.1, 0.2, 0.3, 0.4]


def test_continuations_of_a_prefix_keep_it():
    base = {"stage/0/optimizer": "lion", "stage/0/lr_relative/lion": 2.0}
    points = stage_points(small_space, base, 1, 100)
    assert len(points) == 5
    assert all(base.items() <= point.items() for point in points)


def test_the_grid_searcher_says_why_it_cannot_search_a_space_with_intervals():
    with pytest.raises(StudyError, match=r"without intervals.*give choices"):
        grid_points(mixed_space, NUM_STAGES)
