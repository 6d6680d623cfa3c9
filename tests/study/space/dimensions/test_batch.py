"""Proves that batches and contexts are chosen like all else: proposed, found again, and once for the opponents."""

from __future__ import annotations

import functools
import math

import pytest

from mbo_search.engine.searcher.initial_points import points_near
from mbo_search.engine.searcher.suggest import FixedChoices, ReferenceSuggest, draw
from mbo_search.study.space.dimensions.batch import WholeNumberSpace
from mbo_search.study.space.ladder import question_of, search_spaces
from mbo_search.study.space.space import parameters, propose, staged_space
from mbo_search.study.spec.sections.training import BudgetSpec
from tests.helpers.suggest import RandomSuggest
from tests.study.builders import stage_space, study


def ramp(**settings):
    first = stage_space("a", 0.5, batch_tokens=[64, 128], context=32, **settings)
    return study(first, stage_space("b", **settings), budget=BudgetSpec(tokens=20 * 256))


def test_a_stage_that_sets_nothing_has_the_plain_batch_beside_one_that_does():
    space = staged_space(ramp())
    assert [axes.dimensions for axes in space.stages] == [
        {"batch_tokens": (64, 128), "context": (32,)},
        {"batch_tokens": (64,), "context": (64,)},
    ]
    assert "stage/0/batch_tokens" in {parameter.name for parameter in parameters(space)}
    assert staged_space(study()).stages[0].dimensions == {}


@pytest.mark.parametrize("seed", range(5))
def test_the_point_near_a_proposal_is_the_proposal(seed):
    space = staged_space(ramp(lr_with_batch="sqrt"))
    found = propose(space, RandomSuggest(seed))
    assert found.stages[0].batch_tokens in (64, 128)
    again = points_near(space, found)[0].schedule
    assert [s.batch_tokens for s in again.stages] == [s.batch_tokens for s in found.stages]
    assert [s.context for s in again.stages] == [32, 64]
    assert [s.lr for s in again.stages] == pytest.approx([s.lr for s in found.stages], rel=1e-2)


@pytest.mark.parametrize(("rule", "factor"), [("sqrt", math.sqrt(2)), ("off", 1.0), (None, 1.0)])
def test_learning_rates_follow_the_batch_where_that_is_asked(rule, factor):
    space = staged_space(ramp() if rule is None else ramp(lr_with_batch=rule))
    first = [
        draw(
            functools.partial(propose, space),
            FixedChoices({"stage/0/batch_tokens": batch}, otherwise=ReferenceSuggest("adamw")),
        ).schedule.stages[0]
        for batch in (64, 128)
    ]
    assert first[1].lr / first[0].lr == pytest.approx(factor, rel=1e-2)


def test_opponents_choose_one_batch_for_all_stages():
    found = ramp(lr_with_batch="sqrt")
    assert question_of(found) == "settings"
    spaces = search_spaces(found)
    for name in ("tuned", "line", "shape"):
        assert all(axes.dimensions["batch_tokens"] == (64, 128) for axes in spaces[name].stages), name
        assert all(axes.lr_with_batch for axes in spaces[name].stages), name
    shaped = propose(spaces["shape"], RandomSuggest(1))
    assert len({(stage.batch_tokens, stage.context) for stage in shaped.stages}) == 1


def test_the_union_of_choices_is_in_order():
    assert WholeNumberSpace("context").union([(64,), None, (16, 64)]) == (16, 64)
