"""Proves that a space asks only for what can be chosen, under the promised names, and proposes only schedules that
can be trained, end annealed and survive rounding."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.study.catalogue.hand_over import can_carry
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.examples import example_names, example_path
from mbo_search.study.files.study_file import load_study
from mbo_search.study.space.ladder import search_spaces
from mbo_search.study.space.space import parameters, propose, space_size, staged_space
from mbo_search.study.spec.annealing import is_annealed
from mbo_search.study.spec.sections.choices import LrShapeChoice, OptimizerChoice, RegularizerChoice, RelativeLr
from mbo_search.study.spec.sections.stages import StageDefaults
from mbo_search.study.spec.sections.values import Range
from mbo_search.study.spec.segments import cut
from mbo_search.units import round_significant
from tests.helpers.suggest import FixedSuggest, RandomSuggest
from tests.study.builders import lr_shapes, optimizers, stage_space, study

EXAMPLES = {name: load_study(example_path(name)) for name in example_names()}
EVERYTHING = EXAMPLES["three-stage-full"]
SPACES = {
    f"{search} of {name}": space
    for name, example in EXAMPLES.items()
    for search, space in search_spaces(example).items()
}
PARAMETERS = {id(space): parameters(space) for space in SPACES.values()}
spaces = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
seeds = st.integers(0, 2**32)


def names(space):
    return [parameter.name for parameter in parameters(space)]


def fixed(*stages, **sections):
    """The only schedule of a study without choices."""
    return propose(staged_space(study(*stages, **sections)), FixedSuggest({}))


@spaces
@given(seeds)
def test_every_proposal_keeps_all_promises(space, seed):
    suggest = RandomSuggest(seed)
    schedule = propose(space, suggest)
    fills_the_grid_and_ends_annealed(space, schedule)
    asks_for_declared_parameters_only_and_only_while_their_conditions_hold(space, suggest)
    fills_in_every_setting_of_optimizer_and_shape(schedule)
    has_numbers_of_few_digits(schedule)
    assert schedule == propose(space, FixedSuggest(suggest.asked)), "recorded answers give the same schedule"


def fills_the_grid_and_ends_annealed(space, schedule):
    segments = cut(schedule, space.budget)
    assert len(segments) == space.budget.num_segments
    last = schedule.stages[-1]
    assert is_annealed(last.optimizer, last.lr_shape, segments[-1].clock)


def asks_for_declared_parameters_only_and_only_while_their_conditions_hold(space, suggest):
    declared = {parameter.name: parameter for parameter in PARAMETERS[id(space)]}
    assert suggest.asked.keys() <= declared.keys()
    for name, parameter in declared.items():
        given_names = {n for condition in parameter.when for n in condition.names}
        if given_names <= suggest.asked.keys():
            assert (name in suggest.asked) == all(c.holds(suggest.asked) for c in parameter.when)


def fills_in_every_setting_of_optimizer_and_shape(schedule):
    for stage in schedule.stages:
        assert stage.hparams.keys() == OPTIMIZERS[stage.optimizer].hparams.keys()
        assert stage.lr_shape.hparams.keys() == LR_SHAPES[stage.lr_shape.kind].hparams.keys()


def has_numbers_of_few_digits(schedule):
    for stage in schedule.stages:
        assert stage.lr == round_significant(stage.lr, 4)
        assert stage.weight_decay == round_significant(stage.weight_decay, 3)
        assert stage.share == round(stage.share, 6)


@given(seeds)
def test_hand_over_is_asked_for_exactly_where_state_can_be_carried(seed):
    suggest = RandomSuggest(seed)
    stages = propose(staged_space(EVERYTHING), suggest).stages
    for index, (before, after) in enumerate(itertools.pairwise(stages), start=1):
        carriable = can_carry(before.optimizer, after.optimizer)
        assert (f"stage/{index}/hand_over" in suggest.asked) == carriable
        assert carriable or after.hand_over == "reset"
    assert stages[0].hand_over is None


@given(seeds)
def test_optimizers_that_replace_decay_take_the_constant_shape_without_asking(seed):
    suggest = RandomSuggest(seed)
    for index, stage in enumerate(propose(staged_space(EVERYTHING), suggest).stages):
        if stage.optimizer == "sf_adamw":
            assert stage.lr_shape.kind == "constant"
            assert f"stage/{index}/lr_shape" not in suggest.asked


def test_parameters_have_the_promised_names():
    stages = (
        stage_space(
            "a",
            share=Range(low=0.1, high=0.4),
            optimizer=(
                OptimizerChoice(name="adamw", hparams={"beta2": (0.95, 0.99)}),
                OptimizerChoice(name="muon"),
            ),
            lr=RelativeLr(relative=Range(low=0.5, high=2.0)),
            lr_shape=(
                LrShapeChoice(kind="constant"),
                LrShapeChoice(kind="wsd", hparams={"decay": Range(low=0.2, high=0.4)}),
            ),
            regularizers=((), (RegularizerChoice(kind="dropout", strength=Range(low=0.1, high=0.2)),)),
            warmup=(0.01, 0.02),
            clip_norm=(0.5, 1.0),
            weight_decay=Range(low=0.01, high=0.1),
            trainable=("all", "norms"),
        ),
        stage_space("b", lr=Range(low=1e-4, high=1e-3), hand_over=("carry", "reset"), rewarm=(0.0, 0.02)),
    )
    assert names(staged_space(study(*stages))) == [
        "stage/0/share",
        "stage/0/optimizer",
        "stage/0/adamw/beta2",
        "stage/0/lr_relative",
        "stage/0/lr_shape",
        "stage/0/wsd/decay",
        "stage/0/warmup",
        "stage/0/weight_decay",
        "stage/0/clip_norm",
        "stage/0/regularizers",
        "stage/0/regularizers/dropout/dropout",
        "stage/0/trainable",
        "stage/1/lr/adamw",
        "stage/1/rewarm",
        "stage/1/hand_over",
    ]


@spaces
def test_names_are_unique(space):
    assert len(set(names(space))) == len(names(space))


def test_names_of_optimizers_and_shapes_never_collide_in_parameter_names():
    reserved = {"share", "optimizer", "lr", "lr_relative", "lr_shape", "warmup", "rewarm", "weight_decay"}
    reserved |= {"clip_norm", "regularizers", "trainable", "hand_over"}
    assert not OPTIMIZERS.keys() & LR_SHAPES.keys()
    assert not (OPTIMIZERS.keys() | LR_SHAPES.keys()) & reserved


def test_a_study_without_choices_asks_for_nothing():
    space = staged_space(study(stage_space(lr=1e-3)))
    assert names(space) == []
    assert (space_size(space).combinations, space_size(space).free_numbers) == (1, 0)


def test_a_stage_s_key_replaces_the_default_whole():
    defaults = StageDefaults(
        optimizer=(OptimizerChoice(name="adamw", hparams={"beta2": 0.99}),),
        weight_decay=0.3,
        lr=1e-3,
        clip_norm="off",
    )
    first, second = fixed(
        stage_space("a", 0.5, optimizer=None, weight_decay=0.0),
        stage_space("b", 0.5, optimizer=optimizers("adamw")),
        stage_defaults=defaults,
    ).stages
    assert (first.hparams["beta2"], first.weight_decay, first.clip_norm) == (0.99, 0.0, None)
    assert (second.hparams["beta2"], second.weight_decay, second.clip_norm) == (0.95, 0.3, None)


def test_relative_learning_rates_multiply_the_reference_at_the_width_of_the_model():
    relative = RelativeLr(relative=0.3)
    assert fixed(stage_space(lr=relative)).stages[0].lr == pytest.approx(0.3 * 8e-3)  # 2e-3 * 256 / 64
    assert fixed(stage_space(lr=relative), reference_lr={"adamw": 1e-3}).stages[0].lr == 3e-4


def test_sampled_numbers_are_rounded_to_three_digits_and_stay_in_their_range():
    space = staged_space(study(stage_space(lr=1e-3, weight_decay=Range(low=0.0123456, high=0.0987654))))
    decay = [
        propose(space, FixedSuggest({"stage/0/weight_decay": x})).stages[0].weight_decay
        for x in (0.0123456, 0.0456789, 0.0987654)
    ]
    assert decay == [0.0123456, 0.0457, 0.0987654]


def test_numbers_close_to_one_keep_their_distance_from_one():
    choice = OptimizerChoice(name="ademamix", hparams={"beta3": Range(low=0.99, high=0.99999)})
    space = staged_space(study(stage_space(lr=1e-3, optimizer=(choice,))))
    stage = propose(space, FixedSuggest({"stage/0/ademamix/beta3": 0.99945678})).stages[0]
    assert stage.hparams["beta3"] == 0.999457


def test_weight_decay_is_no_choice_for_an_optimizer_without_it():
    space = staged_space(study(stage_space(optimizer=optimizers("adam"), lr=1e-3, weight_decay=(0.0, 0.1))))
    assert names(space) == []
    assert propose(space, FixedSuggest({})).stages[0].weight_decay == 0.0


def test_whole_settings_are_asked_for_in_whole_numbers():
    choice = OptimizerChoice(name="soap", hparams={"precondition_frequency": Range(low=1, high=20)})
    (parameter,) = parameters(staged_space(study(stage_space(lr=1e-3, optimizer=(choice,)))))
    assert (parameter.step, parameter.num_values) == (1.0, 20)


@pytest.mark.parametrize(
    ("before", "after", "hand_over", "share"),
    [
        ("adamw", "adamw", "carry", 0.0),
        ("adamw", "adamw", "reset", 0.05),
        ("adamw", "muon", "carry", 0.0),
        ("muon", "adamw", "carry", 0.05),
        ("adamw", "lion", "carry", 0.0),
        ("adamw", "lion", "reset", 0.05),
        ("lion", "adamw", "carry", 0.05),
        ("muon", "soap", "carry", 0.1),  # 20 steps: two updates of SOAP's basis
        ("adamw", "soap", "carry", 0.1),
        ("soap", "soap", "reset", 0.1),
        ("soap", "soap", "carry", 0.0),
        ("soap", "adamw", "carry", 0.05),
        ("sgd_nesterov", "lion", "carry", 0.05),
    ],
)
def test_rewarm_auto_warms_up_where_second_moments_are_lost(before, after, hand_over, share):
    stages = fixed(
        stage_space("a", 0.5, optimizer=optimizers(before), lr=1e-3),
        stage_space("b", optimizer=optimizers(after), lr=1e-3, hand_over=(hand_over,)),
    ).stages
    assert stages[1].warmup == share  # 10 of 200 steps, which is more than 2 %


def test_rewarm_auto_is_two_percent_of_a_long_budget():
    sections = {"budget": {"tokens": 1_280_000, "grid": 0.05}}
    stages = (stage_space("a", 0.5, lr=1e-3), stage_space("b", lr=1e-3, hand_over=("reset",)))
    long = study(*stages, **sections)
    assert propose(staged_space(long), FixedSuggest({})).stages[1].warmup == 0.02


def test_rewarm_auto_takes_at_most_half_of_a_short_stage():
    stages = fixed(
        stage_space("a", 0.45, lr=1e-3),
        stage_space("b", 0.05, lr=1e-3, hand_over=("reset",)),
        stage_space("c", lr=1e-3),
    ).stages
    assert stages[1].warmup == 0.025


def test_rewarm_auto_waits_for_two_updates_of_the_basis_as_the_study_sets_them():
    slow = OptimizerChoice(name="soap", hparams={"precondition_frequency": 25.0})
    before = stage_space("a", 0.2, lr=1e-3)
    assert fixed(before, stage_space("b", optimizer=(slow,), lr=1e-3)).stages[1].warmup == 0.25
    short = stage_space("a", 0.8, lr=1e-3)
    assert fixed(short, stage_space("b", optimizer=(slow,), lr=1e-3)).stages[1].warmup == 0.1


def test_a_rewarm_in_numbers_counts_as_it_stands():
    stages = fixed(stage_space("a", 0.5, lr=1e-3), stage_space("b", lr=1e-3, rewarm=0.1)).stages
    assert (stages[0].warmup, stages[1].warmup) == (0.02, 0.1)


def test_shapes_default_to_constant_and_to_linear_in_the_last_stage():
    stages = fixed(stage_space("a", 0.5, lr=1e-3), stage_space("b", lr=1e-3)).stages
    assert [stage.lr_shape.kind for stage in stages] == ["constant", "linear"]


def brute_force(space):
    """Points of a space of choices only, one by one."""
    found = set()
    options = parameters(space)
    values = [p.choices or [p.low + i * p.step for i in range(p.num_values)] for p in options]
    for combination in itertools.product(*values):
        answers = dict(zip((p.name for p in options), combination, strict=True))
        found.add(propose(space, FixedSuggest(answers)).model_dump_json())
    return found


def test_the_size_of_a_space_is_the_number_of_its_points():
    stages = (
        stage_space("a", share=Range(low=0.1, high=0.2), optimizer=optimizers("sgd_nesterov", "muon"), lr=1e-3),
        stage_space(
            "b",
            optimizer=(
                OptimizerChoice(name="adamw", hparams={"beta2": (0.95, 0.99)}),
                *optimizers("lion", "sf_adamw"),
            ),
            lr=1e-3,
            lr_shape=(LrShapeChoice(kind="linear"), LrShapeChoice(kind="wsd", hparams={"decay": (0.3, 0.4)})),
            hand_over=("carry", "reset"),
        ),
    )
    space = staged_space(study(*stages))
    assert space_size(space).combinations == len(brute_force(space)) == 96


def test_free_numbers_are_those_of_the_point_with_the_most():
    choices = (
        OptimizerChoice(
            name="adamw", hparams={"beta1": Range(low=0.8, high=0.9), "beta2": Range(low=0.9, high=0.99)}
        ),
        OptimizerChoice(name="lion", hparams={"beta1": Range(low=0.8, high=0.9)}),
    )
    size = space_size(staged_space(study(stage_space(optimizer=choices, lr=Range(low=1e-4, high=1e-3)))))
    assert (size.combinations, size.free_numbers) == (2, 3)


def test_a_large_space_is_counted_at_once():
    assert space_size(staged_space(EVERYTHING)).combinations > 10**9


def test_lr_shapes_of_the_first_stage_may_stay_constant():
    stages = fixed(
        stage_space("a", 0.5, lr=1e-3, lr_shape=lr_shapes("constant")),
        stage_space("b", lr=1e-3, hand_over=("carry",)),
    ).stages
    assert stages[1].hand_over == "carry"
