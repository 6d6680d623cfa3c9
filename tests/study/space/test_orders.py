"""Proves that orders of the text are chosen where a study sets them, reach schedules, files, keys and words, and
are refused where the text has no such score."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbo_search.errors import StudyError
from mbo_search.results.records.describe import describe_stage
from mbo_search.study.files.study_file import dump_study, parse_study
from mbo_search.study.space.ladder import lower_spaces, top_rung
from mbo_search.study.space.parameters import searched
from mbo_search.study.space.space import propose, staged_space
from mbo_search.study.spec.dimensions.order import ReadingOrder
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.rungs import rung_of
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.spec.segments import cut
from tests.helpers.suggest import FixedSuggest, RandomSuggest
from tests.study.builders import BUDGET, schedule, stage, stage_space, study
from tests.study.studies import SMALL

SHORT = ReadingOrder(by="length")
LONG = ReadingOrder(by="length", ascending=False)
CHOICES = ["shuffled", {"by": "length"}, {"by": "length", "ascending": False}]


def test_nothing_is_declared_or_written_where_nothing_is_set():
    plain = study(stage_space())
    assert not [one.name for one in staged_space(plain).declared if "order" in one.name]
    assert "order" not in propose(staged_space(plain), RandomSuggest(0)).model_dump(mode="json")["stages"][0]
    assert "order" not in plain.model_dump(mode="json")["stages"][0]


def test_the_order_is_one_choice_that_opponents_make_once():
    asked = study(stage_space("a", 0.5), stage_space("b", order=CHOICES))
    (parameter,) = (one for one in searched(staged_space(asked).declared) if "order" in one.name)
    assert parameter.choices == ("shuffled", "length, lowest first", "length, highest first")
    rates = {"stage/0/lr_relative": 1.0, "stage/1/lr_relative": 1.0}
    found = propose(staged_space(asked), FixedSuggest({**rates, parameter.name: parameter.choices[2]}))
    assert [one.order for one in found.stages] == [None, LONG]
    assert describe_stage(found.stages[1]).endswith("order=length, highest first")
    assert Schedule.model_validate_json(found.model_dump_json()) == found
    assert top_rung(asked) == "settings"
    assert rung_of(schedule(stage("a", 0.5, order=SHORT), stage("b", 0.5, hand_over="carry"))) == "settings"
    for space in lower_spaces(asked).values():
        for seed in range(3):
            assert len({one.order for one in propose(space, RandomSuggest(seed)).stages}) == 1


def test_files_give_orders_in_short_forms():
    found = parse_study(SMALL.replace("lr: 0.001}", "lr: 0.001, order: {by: length, ascending: false}}"), "here")
    assert found.stages[0].order == (LONG,)
    assert parse_study(dump_study(found), "here") == found


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"by": "quality"}, "quality is not a score of the text; known are length"),
        ([{"by": "length"}, {"by": "length"}], "length, lowest first appears twice"),
        ("sorted", "must be shuffled"),
        ({"by": "length", "up": True}, "is not a known key"),
    ],
)
def test_what_is_no_order_is_refused(order, words):
    with pytest.raises(StudyError, match=words):
        study(stage_space().model_dump() | {"order": order})


def test_examples_of_a_task_are_not_put_in_order():
    with pytest.raises(StudyError, match="needs running text, not examples of a task"):
        study(stage_space(order=(SHORT,)), data={"source": "translate"})


@st.composite
def ordered(draw):
    counts = draw(st.sampled_from([(20,), (8, 12), (12, 8), (4, 8, 8)]))
    orders = draw(st.lists(st.sampled_from([None, SHORT, LONG]), min_size=len(counts), max_size=len(counts)))
    return counts, orders


def stretches(counts, orders):
    """What each segment reads: None where it is shuffled, else the order, its stretch and the place in it."""
    for count, order in zip(counts, orders, strict=True):
        yield from ((order, count, index) if order else None for index in range(count))


@settings(max_examples=40)
@given(ordered(), ordered())
def test_keys_are_equal_exactly_as_long_as_the_same_stretches_are_read(one, other):
    keys = []
    for counts, orders in (one, other):
        stages = [
            stage(f"s{i}", n / 20, order=order, **({"hand_over": "carry"} if i else {}))
            for i, (n, order) in enumerate(zip(counts, orders, strict=True))
        ]
        keys.append(segment_keys("0" * 64, cut(schedule(*stages), BUDGET)))
    pairs = list(zip(stretches(*one), stretches(*other), strict=True))
    for index, (key, its) in enumerate(zip(*keys, strict=True)):
        assert (key == its) == all(first == second for first, second in pairs[: index + 1])
