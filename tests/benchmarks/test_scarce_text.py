"""Checks the declared test of the scarce-text study on numbers whose answer is known."""

from __future__ import annotations

import pytest

from benchmarks.scarce_text import Cell, Search, primary_test, rung_gains


def _cell(*gains: float) -> Cell:
    searches = (
        Search(losses={"tuned": 2.0, "settings": 2.0 - gain}, staged="settings", single="tuned", tokens=1)
        for gain in gains
    )
    return Cell(name="cell", searches=tuple(searches))


def test_the_interval_is_students_over_searches_within_cells():
    test = primary_test([_cell(0.01, 0.02, 0.03), _cell(0.03, 0.04, 0.05)])
    assert test.mean_nats == pytest.approx(0.03)
    assert test.sd_nats == pytest.approx(0.01)
    half_width = 2.7764451 * 0.01 * (2 / 3) ** 0.5 / 2  # t of 4 degrees of freedom
    assert (test.low_nats, test.high_nats) == pytest.approx((0.03 - half_width, 0.03 + half_width))
    assert test.answer == "yes"


def test_cells_that_contradict_one_another_are_taken_as_given():
    test = primary_test([_cell(0.030, 0.031, 0.029), _cell(-0.030, -0.029, -0.031)])
    assert test.mean_nats == pytest.approx(0.0)
    assert test.answer == "no"


def test_searches_that_vary_leave_it_undecided():
    assert primary_test([_cell(0.1, -0.1, 0.2), _cell(0.0, 0.1, -0.2)]).answer == "undecided"


def test_a_rung_is_compared_with_the_one_below():
    assert rung_gains([_cell(0.01, 0.03)]) == pytest.approx({"tuned -> settings": 0.02})
