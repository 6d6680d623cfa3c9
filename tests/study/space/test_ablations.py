"""Putting one part of a schedule back changes that part, stays valid, and is skipped where it changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.study.catalogue.hand_over import can_carry
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.space.ablations import ablations_of
from mbo_search.study.spec.annealing import is_annealed
from mbo_search.study.spec.schedule import LrShape, Regularizer, Schedule, Stage
from mbo_search.study.spec.segments import BudgetSteps, cut

BUDGET = BudgetSteps(num_segments=10, steps_per_segment=20, batch_tokens=8)
LINEAR = LrShape(kind="linear", hparams={"floor": 0.0})
REFERENCES = {name: info.reference_lr for name, info in OPTIMIZERS.items()}


def stage(optimizer, share, *, lr=0.01, shape=LINEAR, **fields):
    return Stage(name="s", share=share, optimizer=optimizer, lr=lr, lr_shape=shape, **fields)


def single(optimizer="adamw", **fields):
    return Schedule(stages=(stage(optimizer, 1.0, lr=REFERENCES[optimizer], **fields),))


WINNER = Schedule(
    stages=(
        stage("muon", 0.6, lr=0.02, shape=LrShape(kind="constant")),
        stage(
            "adamw",
            0.4,
            lr=0.004,
            hand_over="reset",
            warmup=0.05,
            weight_decay=0.0,
            regularizers=(Regularizer(kind="dropout", strength=0.1),),
        ),
    )
)


def by_label(winner, baseline):
    return {ablation.label: ablation for ablation in ablations_of(winner, baseline, REFERENCES, BUDGET).found}


def test_each_part_goes_back_alone():
    ablations = by_label(WINNER, single())
    assert set(ablations) == {
        *("stage 1 stage", "stage 1 optimizer", "stage 1 lr"),
        *("stage 2 stage", "stage 2 optimizer", "stage 2 lr", "stage 2 regularizers", "stage 2 hand_over"),
    }
    lr = ablations["stage 1 lr"].schedule
    assert lr.stages[0] == WINNER.stages[0].model_copy(update={"lr": pytest.approx(REFERENCES["muon"])})
    assert lr.stages[1] == WINNER.stages[1]
    regularizers = ablations["stage 2 regularizers"].schedule.stages[1]
    assert (regularizers.regularizers, regularizers.weight_decay, regularizers.optimizer) == ((), 0.1, "adamw")
    whole = ablations["stage 2 stage"].schedule.stages[1]
    assert (whole.lr, whole.weight_decay, whole.regularizers) == (REFERENCES["adamw"], 0.1, ())
    assert (whole.share, whole.lr_shape, whole.hand_over) == (0.4, LINEAR, "carry")


def test_a_baseline_carries_its_state_on_with_the_re_warm_up_that_this_takes():
    carried = by_label(WINNER, single())["stage 2 hand_over"].schedule.stages[1]
    assert carried.hand_over == "carry"
    assert carried.warmup == pytest.approx(10 / 200)  # muon has no second moments to hand over


def test_what_a_baseline_shares_is_left_out():
    winner = Schedule(stages=(stage("adamw", 0.6, lr=REFERENCES["adamw"]), stage("lion", 0.4, hand_over="carry")))
    assert {label.split()[1] for label in by_label(winner, single())} == {"2"}


def test_a_hand_over_that_becomes_impossible_is_a_reset_and_said():
    winner = Schedule(stages=(stage("adamw", 0.6), stage("muon", 0.4, hand_over="carry")))
    ablation = by_label(winner, single("soap"))["stage 1 optimizer"]
    assert ablation.schedule.stages[1].hand_over == "reset"
    assert ablation.notes == ("muon begins with a reset, for it can take nothing over from soap",)


def test_a_schedule_free_last_stage_gets_a_decay_with_another_optimizer():
    constant = LrShape(kind="constant")
    winner = Schedule(stages=(stage("adamw", 0.6), stage("sf_adamw", 0.4, shape=constant, hand_over="carry")))
    ablation = by_label(winner, single())["stage 2 optimizer"]
    assert ablation.schedule.stages[1].lr_shape == LINEAR
    assert "needs a decay" in ablation.notes[0]


def test_as_many_stages_as_the_baseline_are_put_back_one_to_one():
    baseline = Schedule(stages=(stage("lion", 0.5), stage("adam", 0.5, hand_over="reset", lr=0.005)))
    ablations = by_label(WINNER, baseline)
    assert ablations["stage 1 stage"].schedule.stages[0].optimizer == "lion"
    assert ablations["stage 1 stage"].schedule.stages[0].share == 0.6
    assert ablations["stage 2 stage"].schedule.stages[1].optimizer == "adam"
    assert "stage 2 hand_over" not in ablations


names = st.sampled_from(sorted(OPTIMIZERS))


@given(names, names, names)
def test_every_ablation_can_be_trained(first, second, base):
    def fitting(optimizer):
        return LrShape(kind="constant") if OPTIMIZERS[optimizer].constant_lr_only else LINEAR

    mode = "carry" if can_carry(first, second) else "reset"
    winner = Schedule(
        stages=(stage(first, 0.6, shape=fitting(first)), stage(second, 0.4, shape=fitting(second), hand_over=mode))
    )
    for ablation in ablations_of(winner, single(base, shape=fitting(base)), REFERENCES, BUDGET).found:
        stages = ablation.schedule.stages
        assert is_annealed(stages[-1].optimizer, stages[-1].lr_shape, cut(ablation.schedule, BUDGET)[-1].clock)
        assert stages[1].hand_over == "reset" or can_carry(stages[0].optimizer, stages[1].optimizer)
        assert all(one.lr_shape.kind == "constant" for one in stages if OPTIMIZERS[one.optimizer].constant_lr_only)
