"""Proves that stages may be left out, and that limits are kept by construction, exactly and without loss."""

from __future__ import annotations

import functools
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbo_search.engine.searcher.space_segments import trained_stages
from mbo_search.study.space.ladder import lower_spaces, question_of, search_spaces, top_rung
from mbo_search.study.space.space import parameters, propose, space_size, staged_space
from mbo_search.study.spec.pretrained import PretrainedSpec
from mbo_search.study.spec.rungs import rung_of
from mbo_search.study.spec.sections.choices import LrShapeChoice, RelativeLr
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec
from mbo_search.study.spec.sections.stages import AtMostSpec
from mbo_search.study.spec.sections.values import Range
from mbo_search.study.spec.segments import cut
from tests.helpers.suggest import FixedSuggest, RandomSuggest
from tests.study.builders import optimizers, stage_space, study

LINEAR = (LrShapeChoice(kind="linear"),)
BOTH = ("carry", "reset")


def mixed(**sections):
    """Four stages with other optimizers each; three of them may be left out."""
    return study(
        stage_space("a", (0.0, 0.2), optimizer=optimizers("adamw", "lion", "soap"), lr=1e-3),
        stage_space("b", Range(low=0.0, high=0.3), optimizer=optimizers("adamw", "muon", "lion"), hand_over=BOTH),
        stage_space("c", (0.0, 0.2, 0.3), optimizer=optimizers("adamw", "lion", "soap"), hand_over=BOTH),
        stage_space("cool", optimizer=optimizers("adamw", "muon"), lr_shape=LINEAR, hand_over=BOTH),
        **sections,
    )


def finite(**sections):
    """A space that is small enough to be listed."""
    return study(
        stage_space("a", (0.0, 0.2), optimizer=optimizers("adamw", "lion", "soap"), lr=1e-3),
        stage_space("b", (0.0, 0.2), optimizer=optimizers("adamw", "muon"), lr=1e-3, hand_over=BOTH),
        stage_space("cool", optimizer=optimizers("muon", "lion"), lr=1e-3, lr_shape=LINEAR, hand_over=BOTH),
        **sections,
    )


def changes(schedule):
    return sum(before != after for before, after in itertools.pairwise(schedule.optimizers))


def resets(schedule):
    return sum(stage.hand_over == "reset" for stage in schedule.stages)


def keeps(schedule, limits):
    counts = (len(schedule.stages), limits.stages), (changes(schedule), limits.optimizer_changes)
    counted = (*counts, (resets(schedule), limits.resets))
    return all(limit is None or count <= limit for count, limit in counted)


class Walker:
    """Answers at the positions of one point; lists the positions of the next one."""

    def __init__(self, positions):
        self.positions, self.sizes, self.asked = list(positions), [], {}

    def categorical(self, name, choices):
        assert name not in self.asked
        assert len(choices) > 1
        if len(self.sizes) == len(self.positions):
            self.positions.append(0)
        value = choices[self.positions[len(self.sizes)]]
        self.sizes.append(len(choices))
        self.asked[name] = value
        return value

    def following(self):
        for index in reversed(range(len(self.sizes))):
            if self.positions[index] + 1 < self.sizes[index]:
                return [*self.positions[:index], self.positions[index] + 1]
        return None


def all_schedules(space):
    positions, found = [], []
    while positions is not None:
        walker = Walker(positions)
        found.append(propose(space, walker))
        positions = walker.following()
    return found


@functools.cache
def spaces_within(limits):
    return search_spaces(mixed(at_most=limits))


@functools.cache
def all_free_schedules():
    return tuple(all_schedules(staged_space(finite())))


LIMITS = [
    AtMostSpec(),
    AtMostSpec(stages=2),
    AtMostSpec(optimizer_changes=0),
    AtMostSpec(optimizer_changes=1),
    AtMostSpec(resets=0),
    AtMostSpec(stages=2, optimizer_changes=1, resets=1),
]


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_a_limited_space_holds_exactly_the_schedules_that_keep_the_limits(limits):
    free = all_free_schedules()
    limited = all_schedules(staged_space(finite(at_most=limits)))
    assert all(keeps(schedule, limits) for schedule in limited)
    assert len(limited) == space_size(staged_space(finite(at_most=limits))).combinations
    listed = {schedule.model_dump_json() for schedule in limited}
    assert len(listed) == len(limited), "no schedule has two descriptions here"
    assert listed == {schedule.model_dump_json() for schedule in free if keeps(schedule, limits)}


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from(LIMITS))
def test_every_draw_of_every_search_is_valid_and_can_be_replayed(seed, limits):
    for name, space in spaces_within(limits).items():
        source = RandomSuggest(seed)
        schedule = propose(space, source)
        assert len(cut(schedule, space.budget)) == space.budget.num_segments
        assert keeps(schedule, limits), name
        assert schedule.stages[0].hand_over is None
        assert schedule == propose(space, FixedSuggest(source.asked))
        assert source.asked.keys() <= {parameter.name for parameter in parameters(space)}


def test_what_is_not_trained_is_not_asked_for():
    space = staged_space(finite())
    source = RandomSuggest(0)
    while source.asked.get("stage/0/share") != 0.0 or source.asked.get("stage/1/share") != 0.2:
        source = RandomSuggest(source.generator.random())
        schedule = propose(space, source)
    assert [stage.name for stage in schedule.stages] == ["b", "cool"]
    assert [name for name in source.asked if name.startswith("stage/0/")] == ["stage/0/share"]
    assert "stage/1/hand_over" not in source.asked, "it is the first stage now"
    assert trained_stages(space)(source.asked) == (1, 2)


def test_a_used_up_limit_leaves_nothing_to_ask_for():
    space = staged_space(finite(at_most=AtMostSpec(optimizer_changes=1)))
    names = [parameter.name for parameter in parameters(space)]
    assert len(names) == len(set(names))
    for seed in range(40):
        source = RandomSuggest(seed)
        first, *later = propose(space, source).stages
        if later and later[0].name == "b" and first.optimizer != later[0].optimizer:
            assert "stage/2/optimizer" not in source.asked
            assert later[-1].optimizer == later[0].optimizer


def test_some_of_the_choices_are_asked_for_under_a_name_of_their_own():
    names = {
        one.name: one.choices for one in parameters(staged_space(mixed(at_most=AtMostSpec(optimizer_changes=1))))
    }
    assert names["stage/1/optimizer"] == ("adamw", "muon", "lion")
    assert names["stage/1/optimizer/adamw+muon"] == ("adamw", "muon")


def test_the_first_stage_that_is_trained_has_the_warm_up_of_a_first_one():
    own = study(
        stage_space("a", (0.0, 0.2), warmup=0.05),
        stage_space("b", (0.0, 0.2), warmup=0.1, rewarm=0.01),
        stage_space("cool", lr_shape=LINEAR),
    )
    space = staged_space(own)
    found = {}
    for seed in range(30):
        schedule = propose(space, RandomSuggest(seed))
        found["".join(stage.name[0] for stage in schedule.stages)] = [stage.warmup for stage in schedule.stages]
    assert found == {"abc": [0.05, 0.01, 0.0], "ac": [0.05, 0.0], "bc": [0.1, 0.0], "c": [0.02]}


def test_adapters_are_put_beside_the_weights_in_the_first_stage_that_is_trained():
    model = PretrainedSpec(pretrained="base", context=64, adapters={"lora": {"rank": [4, 16]}})
    data = DataSpec(source=("docs",), tokenizer=TokenizerSpec(kind="file", path="base"))
    space = staged_space(study(stage_space("a", (0.0, 0.2)), stage_space("b"), model=model, data=data))
    counts = set()
    for seed in range(20):
        first, *later = propose(space, RandomSuggest(seed)).stages
        assert first.adapter is not None
        assert all(stage.adapter is None for stage in later)
        counts.add(len(later))
    assert counts == {0, 1}


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_the_opponents_leave_stages_out_as_well_and_stay_below(seed):
    lower = spaces_within(AtMostSpec(stages=2))
    assert rung_of(propose(lower["shape"], RandomSuggest(seed))) in ("tuned", "shape")
    assert changes(propose(lower["settings"], RandomSuggest(seed))) == 0


def test_one_strategy_is_chosen_even_where_the_first_stage_is_left_out():
    space = lower_spaces(mixed())["shape"]
    found = set()
    for seed in range(150):
        source = RandomSuggest(seed)
        schedule = propose(space, source)
        assert "stage/0/optimizer" in source.asked
        found.add(len(schedule.stages))
        assert set(schedule.optimizers) == {source.asked["stage/0/optimizer"]}
    assert found == {1, 2, 3, 4}


def test_without_changes_of_the_optimizer_the_question_is_another_one():
    assert top_rung(finite()) == "switch"
    assert question_of(finite(at_most=AtMostSpec(optimizer_changes=0))) == "settings"
    only = optimizers("adamw")
    alike = [
        stage_space("a", (0.0, 0.2), optimizer=only),
        stage_space("b", optimizer=only, hand_over=BOTH, lr_shape=LINEAR),
    ]
    assert top_rung(study(*alike)) == "settings"
    assert top_rung(study(*alike, at_most=AtMostSpec(resets=0))) == "shape"


def test_relative_rates_and_free_shares_stay_free():
    free = RelativeLr(relative=Range(low=0.5, high=2.0))
    own = study(stage_space("a", Range(low=0.0, high=0.5), lr=free), stage_space("b", lr=free, lr_shape=LINEAR))
    size = space_size(staged_space(own))
    assert (size.combinations, size.free_numbers) == (11, 2)
