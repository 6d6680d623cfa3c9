"""Proves which schedules of a search with two objectives count as unbeaten, and that others change nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mbo_search.results.evidence.ranking_values import RankedTrial
from mbo_search.results.ranking.pareto import mark_front, non_dominated, objective_values
from mbo_search.testing.records import make_record, make_stage

VALUES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12)


@given(VALUES)
def test_the_front_holds_what_nothing_beats_and_something_on_it_beats_all_others(points):
    marks = non_dominated(points)
    front = [point for point, mark in zip(points, marks, strict=True) if mark]
    assert front
    for point, mark in zip(points, marks, strict=True):
        better = [
            other for other in front if other != point and all(a <= b for a, b in zip(other, point, strict=True))
        ]
        assert bool(better) != mark


def row(trial, loss, seconds):
    stages = (make_stage("adamw", 1.0),)
    return RankedTrial(
        trial=trial, arm="staged", state="complete", search_val_loss=loss, path_seconds=seconds, stages=stages
    )


ROWS = (row(0, 3.0, 50.0), row(1, 3.1, 20.0), row(2, 3.2, 30.0), row(3, None, None))


def test_rows_are_marked_by_loss_and_time_together():
    marked = mark_front(ROWS, ("loss", "seconds"))
    assert [row.on_front for row in marked] == [True, True, False, None]


def test_with_one_objective_nothing_is_marked():
    assert mark_front(ROWS, ("loss",)) == ROWS


def test_time_counts_as_if_nothing_had_been_shared():
    record = make_record(3, make_stage("adamw", 1.0), loss=3.0).model_copy(update={"path_seconds": 99.0})
    assert objective_values(record, ("seconds", "loss")) == (99.0, 3.0)
    older = record.model_copy(update={"path_seconds": None})
    assert objective_values(older, ("loss", "seconds")) == (3.0, record.cost.train_seconds)
