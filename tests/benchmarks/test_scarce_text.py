"""Checks the declared test of the scarce-text study on numbers whose answer is known."""

from __future__ import annotations

import pytest

from benchmarks.scarce_text import (
    Cell,
    Search,
    answer_of,
    cells_of,
    earlier_searches,
    primary_test,
    result,
    rung_gains,
)
from mbo_search.system.files import write_json


def _search(name: str, gain: float) -> Search:
    losses = {"tuned": 2.0, "settings": 2.0 - gain}
    return Search(name=name, losses=losses, staged="settings", single="tuned", tokens=1)


def _cell(*gains: float) -> Cell:
    return Cell(name="cell", searches=tuple(_search(f"cell-{number}", gain) for number, gain in enumerate(gains)))


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


def test_searches_that_were_made_apart_are_put_together(tmp_path):
    write_json(
        tmp_path / "first.json", result(cells_of([_search("a", 0.1), _search("a-2", 0.2), _search("b", 0.3)]))
    )
    apart = [*earlier_searches(tmp_path / "first.json"), _search("b-2", 0.4), _search("a-2", 0.2)]
    first, second = cells_of(apart)
    assert (first.name, first.gains) == ("a", pytest.approx([0.1, 0.2]))
    assert (second.name, second.gains) == ("b", pytest.approx([0.3, 0.4]))


def test_there_is_no_answer_before_every_cell_has_its_searches():
    whole, lacking = [_search("a", 0.10), _search("a-2", 0.11), _search("a-3", 0.12)], [_search("b", 0.1)]
    assert answer_of(cells_of([*whole, *lacking])) == "interim"
    assert answer_of(cells_of(whole)) == "interim"
    assert answer_of(cells_of([*whole, *(_search(f"b-{one}", 0.1 + one / 100) for one in (1, 2, 3))])) == "yes"
