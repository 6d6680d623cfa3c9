"""Proves that settings of the user's own are searched by stage or once, and opponents have the same."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.engine.searcher.initial_points import points_near
from mbo_search.engine.searcher.space_segments import space_segments
from mbo_search.engine.searcher.suggest import draw
from mbo_search.engine.tree.history import blocks_of
from mbo_search.study.baselines import baseline_schedule
from mbo_search.study.space.ablations import ablations_of
from mbo_search.study.space.custom_axes import custom_may_change, union_of_custom
from mbo_search.study.space.ladder import lower_spaces, search_spaces, top_rung
from mbo_search.study.space.parameters import searched
from mbo_search.study.space.space import propose, space_size, staged_space
from mbo_search.study.spec.foreign.custom import CustomRange
from tests.helpers.suggest import FixedSuggest, RandomSuggest
from tests.study.builders import BUDGET, lr_shape, schedule, stage, stage_space, study

COMMON = {"width": [64, 128], "mix": ["web", "books"], "decay": {"low": 0.001, "high": 0.1, "log": True}}
FIRST = {"batch": {"low": 4, "high": 9}, "flash": [True, False], "noise": 0}
LATER = {"batch": [8, 16], "flash": True, "noise": {"low": 0.0, "high": 0.5}}


def two_stages(**sections):
    return study(
        stage_space("a", 0.5, lr=1e-3, custom=FIRST),
        stage_space("b", lr=1e-3, custom=LATER),
        **({"custom": COMMON} | sections),
    )


def asked(space):
    return {parameter.name: parameter for parameter in searched(space.declared)}


def test_nothing_is_declared_where_nothing_is_set():
    assert not [one.name for one in staged_space(study()).declared if "custom" in one.name or "study" in one.name]


def test_each_stage_chooses_its_own_and_the_study_chooses_once():
    found = asked(staged_space(two_stages()))
    assert list(found) == [
        "stage/0/study/decay",
        "stage/0/study/mix",
        "stage/0/study/width",
        "stage/0/custom/batch",
        "stage/0/custom/flash",
        "stage/1/custom/batch",
        "stage/1/custom/noise",
    ]
    assert (found["stage/0/custom/batch"].step, found["stage/1/custom/noise"].step) == (1.0, None)
    assert found["stage/0/study/decay"].log
    assert space_size(staged_space(two_stages())).combinations == 2 * 2 * 6 * 2 * 2


@given(st.sampled_from(["staged", "tuned", "line", "shape"]), st.integers(0, 2**32))
def test_every_schedule_of_every_search_has_every_setting_with_its_type(search, seed):
    stages = propose(search_spaces(two_stages())[search], RandomSuggest(seed)).stages
    types = {"batch": int, "flash": bool, "noise": float, "width": int, "mix": str, "decay": float}
    for one in stages:
        assert {name: type(value) for name, value in one.custom.items()} == types
        assert list(one.custom) == sorted(types)
    for name in COMMON if search == "staged" else types:
        assert len({one.custom[name] for one in stages}) == 1


def test_the_opponents_have_whatever_any_stage_has():
    assert top_rung(two_stages()) == "settings"
    for search in ("tuned", "line", "shape"):
        found = asked(lower_spaces(two_stages())[search])
        assert (found["stage/0/custom/batch"].low, found["stage/0/custom/batch"].high) == (4.0, 16.0)
        assert found["stage/0/custom/flash"].choices == (True, False)
        assert found["stage/0/custom/noise"].high == 0.5
        assert found["stage/0/study/width"].choices == (64, 128)
        assert not [name for name in found if name.startswith("stage/1/custom")]


def test_what_is_common_to_all_stages_raises_no_rung():
    plain = two_stages(stages=(stage_space("a", 0.5), stage_space("b")))
    assert top_rung(plain) == top_rung(study(stage_space("a", 0.5), stage_space("b")))


@pytest.mark.parametrize(
    ("stages", "union"),
    [
        ([8, 8], 8),
        ([8, (16, 8)], (8, 16)),
        ([True, (False,)], (True, False)),
        ([(8, 16), CustomRange(low=4, high=9)], CustomRange(low=4, high=16)),
        ([CustomRange(low=0.1, high=1.0, log=True), 2.0], CustomRange(low=0.1, high=2.0, log=True)),
        ([CustomRange(low=0.1, high=1.0, log=True), 0.0], CustomRange(low=0.0, high=1.0)),
    ],
)
def test_the_union_is_the_smallest_that_holds_all(stages, union):
    assert union_of_custom([{"a": choice} for choice in stages]) == {"a": union}


@pytest.mark.parametrize(
    ("first", "later", "may"), [(8, 8, False), (8, 16, True), ((8, 16), (8, 16), True), ("a", "a", False)]
)
def test_fixed_and_equal_values_are_no_freedom(first, later, may):
    assert custom_may_change([{"a": first}, {"a": later}]) == may


@pytest.mark.parametrize("value", [1, 1.0, True])
def test_what_a_database_returns_becomes_what_the_study_offers(value):
    plain = study(stage_space(custom={"flash": [False, True], "batch": {"low": 1, "high": 3}}))
    values = {"stage/0/lr_relative": 1.0, "stage/0/custom/flash": value, "stage/0/custom/batch": 2.0}
    custom = propose(staged_space(plain), FixedSuggest(values)).stages[0].custom
    assert repr(custom) == "{'batch': 2, 'flash': True}"


@given(st.integers(0, 2**32))
def test_a_search_begins_near_a_known_schedule(seed):
    space = staged_space(two_stages())
    known = propose(space, RandomSuggest(seed))
    near, *_ = points_near(space, known)
    assert [one.custom for one in near.schedule.stages] == [one.custom for one in known.stages]


def test_baselines_have_the_first_value_or_the_middle_of_the_first_stage():
    found = baseline_schedule(two_stages(), "adamw_cosine").stages[0].custom
    assert repr(found) == repr({"batch": 6, "decay": 0.01, "flash": True, "mix": "web", "noise": 0.0, "width": 64})


def test_segments_of_other_values_are_not_taken_for_shared_ones():
    plain = study(stage_space("a", 0.5, lr=1e-3), stage_space("b", lr=1e-3), custom={"width": [64, 128]})
    cut = space_segments(staged_space(plain))
    one, other = (cut({"stage/0/study/width": width}) for width in (64, 128))
    assert one[0] != other[0]


def test_a_value_of_the_whole_study_belongs_to_the_first_block():
    drawn = draw(lambda suggest: propose(staged_space(two_stages()), suggest), RandomSuggest(0))
    first, later = blocks_of(drawn.params, 2)
    assert "stage/0/study/mix" in dict(first)
    assert not [name for name in dict(later) if "/study/" in name]


def test_settings_are_put_back_by_stage_and_what_is_common_stays():
    lrs = {"adamw": 1e-3}
    winner = schedule(
        stage("a", 0.5, custom={"batch": 8, "width": 128}),
        stage("b", 0.5, hand_over="carry", lr_shape=lr_shape("linear"), custom={"batch": 16, "width": 128}),
    )
    baseline = schedule(stage(custom={"batch": 8, "width": 64}))
    found = ablations_of(winner, baseline, lrs, BUDGET, ("width",)).found
    back = {one.label: [own.custom for own in one.schedule.stages] for one in found}
    assert back.keys() == {"stage 2 stage", "stage 2 custom"}
    assert all(own == {"batch": 8, "width": 128} for customs in back.values() for own in customs)


def test_shares_stay_on_the_grid_beside_them():
    plain = study(stage_space("a", [0.3, 0.5], custom=FIRST), stage_space("b", custom=LATER), custom=COMMON)
    shares = [one.share for one in propose(staged_space(plain), RandomSuggest(1)).stages]
    assert sum(map(Fraction, map(str, shares))) == 1
