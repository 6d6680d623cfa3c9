"""The ladder has a row a rung, its best never gets worse on the way up, and its gains are over the best below."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.study.space.parameters import Parameter
from mbo_search.study.spec.rungs import RUNGS
from tests.results.ladders import SEARCH, fresh, info_of, ranked, searched, spread

BELOW = RUNGS[:-1]


def rows_of(records, **fields):
    return {row.name: row for row in ranked(records, info=info_of(**fields)).ladder}


def test_every_rung_has_a_row_with_its_champion_and_its_gain_over_the_best_below():
    rows = rows_of([*SEARCH, *fresh({rung: spread(0.2 - 0.04 * i) for i, rung in enumerate(BELOW)})])
    assert list(rows) == list(RUNGS)
    assert [row.champion_trial for row in rows.values()] == [0, 1, 2, 3, 4]
    assert [row.gain_over for row in rows.values()] == [None, 0, 1, 2, 3]
    assert rows["switch"].gain.nats.mean == pytest.approx(0.08)
    assert rows["tuned"].gain.nats.mean == pytest.approx(0.04)
    assert rows["untuned"].gain is None


def test_the_best_up_to_a_rung_may_need_less_than_the_rung_allows():
    worse = [one.model_copy(update={"val_loss": 3.25}) if one.trial == 3 else one for one in SEARCH]
    rows = rows_of(worse)
    assert (rows["settings"].best_needing, rows["settings"].best_up_to) == (3.25, pytest.approx(3.2))
    assert (rows["settings"].gain_over, rows["switch"].gain_over) == (2, 2)
    assert rows["settings"].gain.nats.mean == pytest.approx(-0.05)


def test_a_rung_without_a_complete_schedule_is_as_good_as_the_one_below():
    rows = rows_of([one for one in SEARCH if one.trial != 2])
    shape = rows["shape"]
    assert (shape.champion_trial, shape.best_needing, shape.gain, shape.trials) == (None, None, None, 0)
    assert shape.best_up_to == rows["tuned"].best_up_to
    assert rows["settings"].gain_over == 1


def test_fresh_losses_are_shown_only_where_every_champion_has_them():
    gains = {rung: spread(0.1) for rung in BELOW}
    confirmed = fresh(gains)
    rows = rows_of([*SEARCH, *confirmed])
    assert rows["switch"].best_needing == pytest.approx(sum(3.0 + 0.02 * (i % 5) for i in range(6)) / 6)
    partly = [one for one in confirmed if one.schedule != SEARCH[2].schedule]
    assert [row.best_needing for row in rows_of([*SEARCH, *partly]).values()] == [one.val_loss for one in SEARCH]


def test_effort_is_told_rung_by_rung():
    parameters = (Parameter(name="x", low=0.0, high=1.0), Parameter(name="y", low=0.0, high=1.0))
    rows = rows_of(
        [*SEARCH, searched(5, "shape", 3.9, lr=0.3), searched(6, "tuned", 3.9, lr=0.3, arm="staged")],
        charges={"baseline": 1, "tuned": 2, "line": 3, "shape": 4, "settings": 5, "staged": 6, "opponents": 12},
        searched={"line": parameters, "shape": parameters[:1]},
    )
    assert [row.executed_tokens for row in rows.values()] == [1, 2, 7, 5, 6]
    assert [row.dimensions for row in rows.values()] == [0, None, 2, None, None]
    assert [row.trials for row in rows.values()] == [1, 2, 2, 1, 1]


def test_the_ladder_ends_with_the_question():
    assert list(rows_of(SEARCH, question="shape")) == ["untuned", "tuned", "shape"]


@given(
    st.lists(st.tuples(st.sampled_from(RUNGS), st.floats(1, 5)), min_size=1, max_size=15),
    st.lists(st.lists(st.floats(-0.3, 0.3), min_size=4, max_size=4), max_size=7),
)
def test_the_best_never_gets_worse_on_the_way_up(drawn, rows):
    extra = [searched(10 + i, rung, loss, lr=0.2 + 0.01 * i) for i, (rung, loss) in enumerate(drawn)]
    gains = {rung: [row[index] for row in rows] for index, rung in enumerate(BELOW)} if rows else {}
    for records in ([*SEARCH, *extra, *(fresh(gains) if gains else [])], extra):
        best = [row.best_up_to for row in rows_of(records).values()]
        assert all(below is None or up_to <= below for below, up_to in itertools.pairwise(best))
        assert best == sorted(best, key=lambda loss: -10 if loss is None else -loss)
