"""Proves that stages with something in common ask for it once, and for everything else as free stages do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.study.space.ladder import lower_spaces
from mbo_search.study.space.parameters import Condition, Parameter, searched
from mbo_search.study.space.space import propose, space_size, staged_space
from mbo_search.study.space.tied import spread, tied_parameters
from mbo_search.study.spec.sections.choices import LrShapeChoice, RegularizerChoice, RelativeLr
from mbo_search.study.spec.sections.values import Range
from tests.helpers.suggest import FixedSuggest, RandomSuggest
from tests.study.builders import optimizers, stage_space, study

OPTIMIZERS = optimizers("adamw", "muon", "adam")
COMMON = {
    "optimizer": OPTIMIZERS,
    "lr": RelativeLr(relative=Range(low=0.5, high=2.0)),
    "weight_decay": (0.0, 0.1),
    "regularizers": ((), (RegularizerChoice(kind="dropout", strength=(0.1, 0.2)),)),
}
WSD = LrShapeChoice(kind="wsd", hparams={"decay": (0.5, 1.0)})


def three_stages():
    """Stages that offer the same optimizers and differ in the rest."""
    return study(
        stage_space("a", (0.2, 0.4), **COMMON),
        stage_space("b", 0.3, **COMMON, hand_over=("carry", "reset"), rewarm=(0.0, 0.02)),
        stage_space("c", **COMMON, hand_over=("carry", "reset"), lr_shape=(LrShapeChoice(kind="linear"), WSD)),
    )


def asked(space):
    return [parameter.name for parameter in searched(space.declared)]


def test_with_one_optimizer_it_is_chosen_once_and_everything_else_stage_by_stage():
    own, free = asked(lower_spaces(three_stages())["settings"]), asked(staged_space(three_stages()))
    assert [name for name in own if name.endswith("/optimizer")] == ["stage/0/optimizer"]
    assert [name for name in free if name not in own] == ["stage/1/optimizer", "stage/2/optimizer"]
    assert set(own) <= set(free)


def test_with_one_strategy_only_the_learning_rate_is_chosen_stage_by_stage():
    own = asked(lower_spaces(three_stages())["shape"])
    later = [name.removeprefix("stage/2/") for name in own if name.startswith("stage/2/")]
    assert later == ["lr_relative", "lr_shape", "wsd/decay"]
    assert {"stage/0/weight_decay", "stage/0/regularizers", "stage/1/rewarm"} <= set(own)
    assert not any("hand_over" in name for name in own)


@pytest.mark.parametrize("name", ["settings", "shape"])
@given(st.integers(0, 2**32))
def test_a_schedule_of_tied_stages_is_one_of_the_free_stages(name, seed):
    space, free = lower_spaces(three_stages())[name], staged_space(three_stages())
    source = RandomSuggest(seed)
    schedule = propose(space, source)
    carried = {f"stage/{index}/hand_over": "carry" for index in (1, 2)} if name == "shape" else {}
    values = spread(source.asked, space.tied, 3) | carried
    # A single stage's strategy decides over all of them: where it cannot be carried, free stages have no choice.
    assert propose(free, FixedSuggest(values)) == schedule
    assert len(set(schedule.optimizers)) == 1


@given(st.integers(0, 2**32))
def test_one_strategy_differs_between_stages_in_its_learning_rate_alone(seed):
    stages = propose(lower_spaces(three_stages())["shape"], RandomSuggest(seed)).stages
    own = {"name", "share", "lr", "lr_shape", "warmup", "hand_over"}
    assert len({stage.model_dump_json(exclude=own) for stage in stages}) == 1
    assert [stage.hand_over for stage in stages] == [None, "carry", "carry"]


def test_carry_or_reset_is_chosen_for_the_optimizer_that_goes_on():
    space = lower_spaces(three_stages())["settings"]
    assert {propose(space, RandomSuggest(seed)).stages[1].hand_over for seed in range(20)} == {"carry", "reset"}


def test_points_are_counted_without_the_combinations_of_optimizers():
    plain = study(
        stage_space(
            "a", 0.5, optimizer=optimizers("adamw", "muon"), lr=1e-3, weight_decay=0.1, clip_norm=(0.5, 1.0)
        ),
        stage_space("b", optimizer=optimizers("adamw", "muon"), lr=1e-3, weight_decay=0.1),
    )
    assert space_size(lower_spaces(plain)["settings"]).combinations == 4
    assert space_size(staged_space(plain)).combinations == 8


def test_conditions_on_what_is_tied_read_the_first_stage_and_contradictions_fall_away():
    pair = Condition(
        names=("stage/0/optimizer", "stage/1/optimizer"), allowed=frozenset({("a", "a"), ("a", "b"), ("b", "b")})
    )
    declared = (
        Parameter(name="stage/0/optimizer", choices=("a", "b")),
        Parameter(name="stage/1/optimizer", choices=("a", "b")),
        Parameter(name="stage/1/hand_over", choices=("carry", "reset"), when=(pair,)),
    )
    first, hand_over = tied_parameters(declared, "optimizer")
    assert first == declared[0]
    assert hand_over.when == (Condition(names=("stage/0/optimizer",), allowed=frozenset({("a",), ("b",)})),)
    assert tied_parameters(declared, "nothing") == declared
