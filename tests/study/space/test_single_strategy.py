"""Proves that a tuned single strategy may use whatever the stages may use, in one stage, and nothing else."""

from __future__ import annotations

import pytest

from mbo_search.study.space.ladder import lower_spaces
from mbo_search.study.space.parameters import searched
from mbo_search.study.space.settings import union
from mbo_search.study.space.single_strategy import CONTROL_SHAPES
from mbo_search.study.space.space import propose, staged_space
from mbo_search.study.spec.rungs import default_shape
from mbo_search.study.spec.sections.choices import LrShapeChoice, OptimizerChoice, RegularizerChoice, RelativeLr
from mbo_search.study.spec.sections.values import Range
from tests.helpers.suggest import RandomSuggest
from tests.study.builders import optimizers, stage_space, study


def tuned_space(plain):
    return lower_spaces(plain)["tuned"]


def parameter(space, name):
    return next(p for p in searched(space.declared) if p.name == name)


def test_optimizers_are_the_union_in_the_order_of_the_stages():
    space = tuned_space(
        study(
            stage_space("a", 0.5, optimizer=optimizers("muon", "adamw")),
            stage_space("b", optimizer=optimizers("adamw", "lion")),
        )
    )
    assert parameter(space, "stage/0/optimizer").choices == ("muon", "adamw", "lion")


def test_shapes_are_cosine_linear_and_wsd_in_their_default_settings():
    wsd = LrShapeChoice(kind="wsd", hparams={"decay": (0.4, 0.6)})
    space = tuned_space(study(stage_space("a", 0.5), stage_space("b", lr_shape=(wsd,))))
    assert parameter(space, "stage/0/lr_shape").choices == CONTROL_SHAPES == ("cosine", "linear", "wsd")
    assert not [one.name for one in searched(space.declared) if one.name.startswith("stage/0/wsd/")]
    found = [propose(space, RandomSuggest(seed)).stages[0].lr_shape for seed in range(20)]
    assert all(shape == default_shape(shape.kind) for shape in found)


def test_relative_learning_rates_stay_relative():
    space = tuned_space(
        study(
            stage_space("a", 0.5, lr=RelativeLr(relative=Range(low=0.5, high=1.0))),
            stage_space("b", lr=RelativeLr(relative=(2.0, 4.0))),
        )
    )
    lr = parameter(space, "stage/0/lr_relative")
    assert (lr.low, lr.high, lr.log) == (0.5, 4.0, True)


def test_mixed_learning_rates_become_absolute_optimizer_by_optimizer():
    space = tuned_space(
        study(
            stage_space("a", 0.5, optimizer=optimizers("sgd_nesterov"), lr=Range(low=0.1, high=1.0)),
            stage_space("b", optimizer=optimizers("adamw"), lr=RelativeLr(relative=Range(low=0.5, high=2.0))),
        )
    )
    sgd, adamw = parameter(space, "stage/0/lr/sgd_nesterov"), parameter(space, "stage/0/lr/adamw")
    assert (sgd.low, sgd.high) == (0.1, 1.0)
    assert (adamw.low, adamw.high) == (0.004, 0.016)


def test_weight_decay_clipping_and_settings_are_united():
    space = tuned_space(
        study(
            stage_space(
                "a",
                0.5,
                optimizer=(OptimizerChoice(name="adamw", hparams={"beta2": 0.99}),),
                weight_decay=0.5,
                clip_norm="off",
            ),
            stage_space("b", weight_decay=Range(low=0.01, high=0.1), clip_norm=0.5),
        )
    )
    decay = parameter(space, "stage/0/weight_decay")
    assert (decay.low, decay.high) == (0.01, 0.5)
    assert parameter(space, "stage/0/adamw/beta2").choices == (0.95, 0.99)
    assert space.stages[0].clip_norm == 0.5


def test_sets_of_regularizers_are_united_by_their_kinds():
    def dropout(*strengths):
        return (RegularizerChoice(kind="dropout", strength=strengths if len(strengths) > 1 else strengths[0]),)

    space = tuned_space(
        study(
            stage_space("a", 0.5, regularizers=((), dropout(0.1))),
            stage_space("b", regularizers=(dropout(0.2, 0.3),)),
        )
    )
    assert parameter(space, "stage/0/regularizers").choices == ("none", "dropout")
    assert parameter(space, "stage/0/regularizers/dropout/dropout").choices == (0.1, 0.2, 0.3)


def test_its_schedules_have_one_stage_with_the_study_s_warm_up():
    space = tuned_space(study(stage_space("a", 0.5, warmup=0.04), stage_space("b")))
    (stage,) = propose(space, RandomSuggest(0)).stages
    assert (stage.share, stage.warmup, stage.hand_over, stage.trainable) == (1.0, 0.04, None, "all")


def test_both_sides_have_the_same_budget_and_references():
    one = study(stage_space("a", 0.5), stage_space("b"))
    assert tuned_space(one).budget == staged_space(one).budget
    assert tuned_space(one).reference_lrs == staged_space(one).reference_lrs


@pytest.mark.parametrize(
    ("numerics", "united"),
    [
        ([0.1], 0.1),
        ([0.1, 0.1, (0.1,)], 0.1),
        ([0.2, 0.1], (0.1, 0.2)),
        ([(0.3, 0.1), 0.2], (0.1, 0.2, 0.3)),
        ([Range(low=0.1, high=0.2), Range(low=0.4, high=0.5)], Range(low=0.1, high=0.5)),
    ],
    ids=str,
)
def test_a_union_holds_every_part_and_no_more_than_it_must(numerics, united):
    assert union(numerics) == united
