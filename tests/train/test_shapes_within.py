"""Proves that shapes of other settings are in force at every step, that interruptions and sharing change no bit of
what they train, and that schedules with the same values at every step train alike however they are written."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from mbo_search.data.batches import TokenStream
from mbo_search.data.prepare import PreparedData
from mbo_search.model.language_model import dropouts_of
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.within_stage import changing_hparams
from mbo_search.study.spec.dimensions.shapes import hparams_at, shape_factor, strengths_at
from mbo_search.study.spec.schedule import LrShape, Regularizer, Schedule
from mbo_search.study.spec.segments import cut
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.loop import StepContext, StepReport, train_segment
from mbo_search.train.saved_state import fresh_state
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from tests.train.builder import (
    LINEAR,
    differing,
    every_regularizer,
    make_schedule,
    make_stage,
    read_state,
    run_whole,
    tiny_setup,
)
from tests.train.test_bit_for_bit import NEARLY_EVERYWHERE, Tree

SEED = 3
COSINE = LrShape(kind="cosine", hparams={"floor": 0.1})
DROPOUT = Regularizer(kind="dropout", strength=0.2)


def wsd(decay: float) -> LrShape:
    return LrShape(kind="wsd", hparams={"decay": decay, "kind": "linear", "floor": 0.0})


@pytest.fixture(scope="module")
def short(data: PreparedData) -> TrainSetup:
    """Ten steps, one a grid segment; schedules may part after the fourth."""
    return tiny_setup(data, steps_per_segment=1, branch_points=(4,))


def shapes_of(optimizer: str, shape: LrShape) -> dict[str, LrShape]:
    settings = ("weight_decay", "dropout", "l1", *changing_hparams(OPTIMIZERS[optimizer].hparams))
    return dict.fromkeys(settings, shape)


def moving(optimizer: str, other: str = "adamw") -> Schedule:
    """A stage whose settings all move, one of the same optimizer that goes on without, and one with other moves."""
    extras = (DROPOUT, Regularizer(kind="ema_fold", strength=0.8), Regularizer(kind="l1", strength=1e-4))
    back = {"hand_over": "carry" if other == optimizer else "reset", "trainable": "attention+mlp+norms"}
    return make_schedule(
        make_stage("a", 0.4, optimizer, warmup=0.1, regularizers=extras, shapes=shapes_of(optimizer, wsd(0.6))),
        make_stage("b", 0.2, optimizer, hand_over="carry", regularizers=every_regularizer()),
        make_stage("c", 0.4, other, lr_shape=LINEAR, shapes={"beta2": COSINE, "weight_decay": LINEAR}, **back),
    )


def test_every_step_has_the_values_of_its_shapes(data: PreparedData, setup: TrainSetup) -> None:
    shapes = {"beta1": COSINE, "beta2": LINEAR, "momentum": COSINE, "weight_decay": wsd(0.5), "dropout": LINEAR}
    stage = make_stage("a", 0.6, "muon", regularizers=(DROPOUT,), shapes=shapes)
    plain = make_stage("b", 0.4, "muon", regularizers=(DROPOUT,), hand_over="carry", lr_shape=LINEAR)
    stream = TokenStream(data.tokens("train"), setup.block_tokens, SEED)
    context, state = StepContext(setup=setup, stream=stream, seed=SEED), fresh_state(setup, SEED)
    seen: list[tuple[float, ...]] = []

    def watch(report: StepReport) -> None:
        wanted, (matrices, rest) = hparams_at(segment, report.step - 1), state.optimizer._parts
        assert {group["momentum"] for group in matrices.optimizer.param_groups} == {wanted["momentum"]}
        assert {group["betas"] for group in rest.optimizer.param_groups} == {(wanted["beta1"], wanted["beta2"])}
        decay = shape_factor(segment, "weight_decay", report.step - 1)
        assert state.optimizer._decay_factor == decay
        dropout = strengths_at(segment, report.step - 1).get("dropout", DROPOUT.strength)
        assert set(dropouts_of(state.model).values()) == {dropout}
        seen.append((wanted["momentum"], wanted["beta1"], wanted["beta2"], decay, dropout))

    for segment in cut(make_schedule(stage, plain), setup.budget()):
        train_segment(state, segment, context, stop=lambda: False, observe=watch)
    falling, later = seen[:12], seen[12:]
    assert falling[0] == (0.95, 0.9, 0.95, 1.0, 0.2)
    for one, other in pairwise(falling):
        assert all(before < after for before, after in zip(one[:3], other[:3], strict=True))
    assert falling[-1][2] == pytest.approx(1 - 0.05 / 12)
    assert [row[3] for row in falling] == pytest.approx([*[1.0] * 7, *[1 - done / 6 for done in range(1, 6)]])
    assert set(later) == {(0.95, 0.9, 0.95, 1.0, 0.2)}


@pytest.mark.parametrize("optimizer", ["adamw", "lion", "muon", "nadamw", "sf_adamw", "sgd_nesterov"])
def test_interrupted_and_resumed_equals_uninterrupted(short: TrainSetup, tmp_path: Path, optimizer: str) -> None:
    schedule = moving(optimizer)
    whole, path = run_whole(short, schedule, tmp_path / "whole", seed=SEED)
    for number_of_steps in NEARLY_EVERYWHERE:
        polls = iter([*[False] * number_of_steps, True])
        runner = TorchStageRunner(short, tmp_path / "scratch")
        folder, report = runner.run(None, path.segments, SEED, lambda polls=polls: next(polls))
    assert folder is not None, report.message
    assert differing(read_state(folder) | {"curve": report.curve}, whole) == []


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_tree_equals_no_tree(short: TrainSetup, tmp_path: Path, optimizer: str) -> None:
    def decaying(share: float) -> Schedule:
        stage = make_stage("a", 0.8, optimizer, regularizers=(DROPOUT,), shapes=shapes_of(optimizer, wsd(share)))
        return make_schedule(stage, make_stage("b", 0.2, optimizer, hand_over="carry", lr_shape=LINEAR))

    shared, alone = Tree(short, tmp_path / "shared"), Tree(short, tmp_path / "alone")
    shared.train(decaying(0.25))
    outcome, expected = shared.train(decaying(0.5)), alone.train(decaying(0.5))
    assert outcome.cost.executed_tokens == 6 * short.batch_tokens  # from the branch point on; six are shared
    assert outcome.curve == expected.curve
    for boundary in expected.boundaries:
        one, other = shared.state(boundary.node), alone.state(boundary.node)
        for found in (one, other):
            found["state"]["stage"] |= {"shapes": None}
        assert differing(one, other) == []


def test_a_shape_that_sets_in_late_is_a_stage_without_one_before_a_stage_with_one(
    short: TrainSetup, tmp_path: Path
) -> None:
    late = make_stage("a", 1.0, "adamw", regularizers=(DROPOUT,), shapes=shapes_of("adamw", wsd(0.5)))
    first = make_stage("a", 0.5, "adamw", regularizers=(DROPOUT,))
    second = make_stage(
        "b", 0.5, "adamw", hand_over="carry", regularizers=(DROPOUT,), shapes=shapes_of("adamw", LINEAR)
    )
    one, path = run_whole(short, make_schedule(late), tmp_path / "one", seed=SEED)
    other, _ = run_whole(short, make_schedule(first, second), tmp_path / "other", seed=SEED)
    assert path.keys == schedule_path(make_schedule(first, second), short, SEED).keys
    assert [name for name in differing(one, other) if name not in ("state", "curve")] == []
    assert {**one["state"], "stage": None} == {**other["state"], "stage": None}
