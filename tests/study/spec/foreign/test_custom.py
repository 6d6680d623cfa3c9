"""Proves that settings of the user's own keep the types that they were written with, and are told apart by key."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mbo_search.study.files.schedule_file import Schedule
from mbo_search.study.spec.foreign.custom import CustomRange, as_fractions, first_value, is_whole, key_material
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.rungs import rung_of
from mbo_search.study.spec.segments import cut
from tests.study.builders import BUDGET, schedule, stage, stage_space

VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(min_size=1, max_size=6),
    st.sampled_from([0, 0.0, False, "0", 1, 1.0, True, "1", "true", -0.0]),
)
CUSTOM = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def keys(*stages):
    return segment_keys("0" * 64, cut(schedule(*stages), BUDGET))


def typed(custom):
    return {name: (type(value).__name__, repr(value)) for name, value in custom.items()}


@settings(max_examples=60)
@given(CUSTOM, CUSTOM)
def test_keys_are_equal_where_the_values_are_and_nowhere_else(one, other):
    assert (keys(stage(custom=one)) == keys(stage(custom=other))) == (typed(one) == typed(other))


@given(CUSTOM, CUSTOM, CUSTOM)
def test_schedules_share_the_stages_before_their_values_part(before, one, other):
    ends = (stage("b", 0.5, hand_over="carry", custom=custom) for custom in (one, other))
    first, second = (keys(stage("a", 0.5, custom=before), end) for end in ends)
    assert first[:10] == second[:10]
    assert (first[10] == second[10]) == (typed(one) == typed(other))


def test_keys_of_stages_without_them_are_what_they_always_were():
    assert keys(stage(custom={})) == keys(stage())
    assert keys(stage())[0].startswith("41cef88508c486db")


@given(CUSTOM)
def test_a_schedule_reads_back_with_every_type(custom):
    one = schedule(stage(custom=custom))
    again = Schedule.model_validate_json(one.model_dump_json())
    assert typed(again.stages[0].custom) == typed(one.stages[0].custom) == typed(custom)


def test_nothing_is_written_where_nothing_is_set():
    assert "custom" not in stage().model_dump(mode="json")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (8, 8),
        (8.0, 8.0),
        (True, True),
        ("web", "web"),
        ([8, 16], (8, 16)),
        ([0, 0.1], (0.0, 0.1)),
        ([True, False], (True, False)),
        ({"low": 1, "high": 4}, CustomRange(low=1, high=4)),
        ({"low": 0, "high": 0.5}, CustomRange(low=0, high=0.5)),
    ],
)
def test_numbers_stay_whole_where_all_of_them_are(written, meant):
    found = stage_space(custom={"a": written}).custom["a"]
    assert (found, repr(found)) == (meant, repr(meant))
    assert is_whole(found) == (".0" not in repr(meant) and "0.5" not in repr(meant) and meant != "web")


@pytest.mark.parametrize(
    "written", [None, [], {}, {"low": 1}, [None], [[1]], {"low": "a", "high": 2}, float("nan")]
)
def test_what_is_no_value_is_refused(written):
    with pytest.raises(ValidationError):
        stage_space(custom={"a": written})


@pytest.mark.parametrize(
    ("choice", "value"),
    [
        ("web", "web"),
        ((16, 8), 16),
        (CustomRange(low=1, high=4), 2),
        (CustomRange(low=0.0, high=0.3), 0.15),
        (CustomRange(low=0.01, high=1.0, log=True), 0.1),
    ],
)
def test_untuned_schedules_have_the_first_value_or_the_middle(choice, value):
    assert (first_value(choice), type(first_value(choice))) == (value, type(value))


def test_fractions_keep_their_form():
    assert repr(as_fractions((1, 2))) == "(1.0, 2.0)"
    assert repr(as_fractions(CustomRange(low=1, high=2, log=True))) == "CustomRange(low=1.0, high=2.0, log=True)"


def test_values_that_differ_between_stages_are_a_freedom_of_settings():
    def rung(first, later):
        return rung_of(schedule(stage("a", 0.5, custom=first), stage("b", 0.5, hand_over="carry", custom=later)))

    assert rung({"a": 1}, {"a": 1}) == rung({}, {})
    assert rung({"a": 1}, {"a": 1.0}) == rung({"a": 1}, {"a": 2}) == "settings"


def test_key_material_is_exact():
    assert key_material({"a": 0.1})["a"] != key_material({"a": 0.1 + 2**-56})["a"]
