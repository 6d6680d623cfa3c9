"""Proves that conditions, counting and rounding of parameters hold for any list of parameters."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from mbo_search.study.space.parameters import (
    Condition,
    Parameter,
    choose,
    count_points,
    round_sampled,
    searched,
)
from tests.helpers.suggest import FixedSuggest, RandomSuggest


@st.composite
def parameter_lists(draw):
    """Up to six parameters with choices, each maybe conditional on one or two earlier ones."""
    found = []
    for index in range(draw(st.integers(1, 6))):
        choices = tuple(range(draw(st.integers(1, 3))))
        when = ()
        if found and draw(st.booleans()):
            owners = draw(st.lists(st.sampled_from(found), min_size=1, max_size=2, unique=True))
            combinations = list(itertools.product(*(owner.choices for owner in owners)))
            allowed = draw(st.sets(st.sampled_from(combinations)))
            when = (Condition(names=tuple(o.name for o in owners), allowed=frozenset(allowed)),)
        found.append(Parameter(name=f"p{index}", choices=choices, when=when))
    return found


def points(parameters):
    """Every point, by trying all answers."""
    found = set()
    for combination in itertools.product(*(p.choices for p in parameters)):
        answers = dict(zip((p.name for p in parameters), combination, strict=True))
        found.add(tuple(choose(parameters, FixedSuggest(answers)).items()))
    return found


@given(parameter_lists())
def test_counting_agrees_with_listing(parameters):
    assert count_points(parameters).combinations == len(points(parameters))


@given(parameter_lists(), st.integers(0, 2**32))
def test_exactly_the_searched_parameters_whose_conditions_hold_are_asked_for(parameters, seed):
    suggest = RandomSuggest(seed)
    values = choose(parameters, suggest)
    free = searched(parameters)
    assert set(suggest.asked) == {p.name for p in free if all(c.holds(values) for c in p.when)}


@given(parameter_lists())
def test_conditions_that_are_left_can_hold_and_can_fail(parameters):
    everything = points(parameters)
    for parameter in searched(parameters):
        exists = [parameter.name in dict(point) for point in everything]
        assert any(exists)
        assert all(exists) == (not parameter.when)


@given(parameter_lists())
def test_conditions_name_searched_parameters_only(parameters):
    names = set()
    for parameter in searched(parameters):
        assert {name for condition in parameter.when for name in condition.names} <= names
        names.add(parameter.name)


@given(st.floats(1e-9, 1e9))
def test_rounding_a_sampled_number_twice_changes_nothing(value):
    assert round_sampled(round_sampled(value)) == round_sampled(value)


@given(st.floats(0.9, 1.0, exclude_min=True, exclude_max=True))
def test_numbers_below_one_stay_below_one(value):
    assert round_sampled(value) <= 1.0
    assert abs((1 - round_sampled(value)) - (1 - value)) <= 0.006 * (1 - value) + 1e-15
