"""Proves that blocks in turn train to the same bits wherever training is cut, whatever is shared, and whichever of
the schedules that train alike was there first."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mbo_search.data.prepare import PreparedData
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.within_stage import changing_hparams
from mbo_search.study.spec.dimensions.cycle import BlockCycle
from mbo_search.study.spec.schedule import LrShape, Regularizer, Schedule
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.saved_state import load_state
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from mbo_search.trial.reports import Node
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
from tests.train.test_bit_for_bit import Tree

SEED = 3
TURNS = BlockCycle(blocks=("attention", "mlp+embeddings"), tokens=250)
TURNS_AT_END = BlockCycle(blocks=("mlp", "attention"), tokens=96)
THAW = BlockCycle(blocks=("layers:1-1", "layers:0-0", "embeddings"), tokens=192, mode="thaw")


@pytest.fixture(scope="module")
def setup(data: PreparedData) -> TrainSetup:
    """Ten segments of two steps of 96 tokens: turns of 250 tokens end within segments."""
    return tiny_setup(data, branch_points=(2, 3, 4))


def turning(optimizer: str) -> Schedule:
    """Into blocks in turn, on to others whose settings move, with the same state, and out to another optimizer."""
    moving = dict.fromkeys(("weight_decay", *changing_hparams(OPTIMIZERS[optimizer].hparams)), LINEAR)
    return make_schedule(
        make_stage("a", 0.2, optimizer),
        make_stage("b", 0.3, optimizer, hand_over="carry", cycle=TURNS, regularizers=every_regularizer()),
        make_stage(
            "c", 0.3, optimizer, hand_over="carry", cycle=THAW, groups={"mlp": {"lr_ratio": 0.5}}, shapes=moving
        ),
        make_stage(
            "d", 0.2, "nadamw", hand_over="reset", lr_shape=LINEAR, trainable="layers:0-1", cycle=TURNS_AT_END
        ),
    )


@pytest.mark.parametrize(
    "optimizer",
    ["adamw", pytest.param("soap", marks=pytest.mark.slow), pytest.param("sf_adamw", marks=pytest.mark.slow)],
)
def test_stopped_after_every_step_equals_uninterrupted(setup: TrainSetup, tmp_path: Path, optimizer: str) -> None:
    whole, path = run_whole(setup, turning(optimizer), tmp_path / "whole", seed=SEED)
    folder, stops = None, 0
    while folder is None:
        polls = iter([False, True])
        runner = TorchStageRunner(setup, tmp_path / "scratch")
        folder, report = runner.run(None, path.segments, SEED, lambda polls=polls: next(polls))
        stops += folder is None
        assert stops < 40, report.message
    assert stops == setup.budget().total_steps - 1
    assert differing(read_state(folder) | {"curve": report.curve}, whole) == []


def test_a_node_at_every_boundary_is_gone_on_from_bit_for_bit(setup: TrainSetup, tmp_path: Path) -> None:
    whole, path = run_whole(setup, turning("adamw"), tmp_path / "whole", seed=SEED)
    del whole["curve"]
    node = None
    for index, key in enumerate(path.keys):
        runner = TorchStageRunner(setup, tmp_path / "scratch")
        folder, _ = runner.run(node, path.segments[index : index + 1], SEED, lambda: False)
        assert folder is not None
        node = Node(key=key, path=folder)
    assert differing(read_state(folder), whole) == []


def cooled(share: float, cycle: BlockCycle | None = TURNS) -> Schedule:
    extras = (Regularizer(kind="ema", strength=0.9), Regularizer(kind="l1", strength=1e-3))
    return make_schedule(
        make_stage(f"trunk {share}", share, "adamw", regularizers=extras, cycle=cycle),
        make_stage("cool", round(1 - share, 2), "adamw", hand_over="carry", lr_shape=LINEAR),
    )


def test_a_shared_trunk_of_blocks_in_turn_equals_unshared_training(setup: TrainSetup, tmp_path: Path) -> None:
    shared, alone = Tree(setup, tmp_path / "shared"), Tree(setup, tmp_path / "alone")
    shared.train(cooled(0.3))  # ends in the middle of a turn
    outcome = shared.train(cooled(0.6))
    assert outcome.cost.executed_tokens == outcome.requested_tokens * 7 // 10
    expected = alone.train(cooled(0.6))
    assert outcome.curve == expected.curve
    for boundary in expected.boundaries:
        assert differing(shared.state(boundary.node), alone.state(boundary.node)) == []


def test_what_another_schedule_left_in_the_middle_of_a_segment_is_gone_on_from(
    setup: TrainSetup, tmp_path: Path
) -> None:
    """Until something comes to rest, blocks that freeze train like none."""
    freezing = cooled(0.6, BlockCycle(blocks=("attention", "mlp"), tokens=6 * 96, mode="freeze"))
    plain = schedule_path(cooled(0.6, None), setup, SEED)
    path = schedule_path(freezing, setup, SEED)
    assert (path.keys[:3] == plain.keys[:3], path.keys[3] == plain.keys[3]) == (True, False)
    polls = iter([False] * 3 + [True])
    folder, _ = TorchStageRunner(setup, tmp_path / "scratch").run(
        None, plain.segments[:3], SEED, lambda: next(polls)
    )
    assert folder is None
    folder, _ = TorchStageRunner(setup, tmp_path / "scratch").run(None, path.segments[:3], SEED, lambda: False)
    assert folder is not None
    node = Node(key=path.keys[2], path=folder)
    folder, report = TorchStageRunner(setup, tmp_path / "scratch").run(node, path.segments[3:], SEED, lambda: False)
    whole, _ = run_whole(setup, freezing, tmp_path / "whole", seed=SEED)
    assert folder is not None
    assert report.cost.executed_tokens == 14 * setup.batch_tokens
    del whole["curve"]
    assert differing(read_state(folder), whole) == []


def test_what_rests_keeps_its_weights_and_its_state_through_the_loop(setup: TrainSetup, tmp_path: Path) -> None:
    still = (Regularizer(kind="l1", strength=0.1), Regularizer(kind="l2", strength=0.1))
    cycle = BlockCycle(blocks=("attention", "mlp", "embeddings"), tokens=2 * 96)
    constant = LrShape(kind="constant")
    schedule = make_schedule(
        make_stage("only", 1.0, "adamw", cycle=cycle, weight_decay=0.5, regularizers=still, lr_shape=constant)
    )
    path = schedule_path(schedule, setup, SEED)
    runner, node, before = TorchStageRunner(setup, tmp_path), None, None
    for index, block in enumerate(["self_attn", ".mlp.", "embed_tokens", "self_attn"]):
        folder, _ = runner.run(node, path.segments[index : index + 1], SEED, lambda: False)
        assert folder is not None
        node = Node(key=path.keys[index], path=folder)
        state = load_state(folder, setup)
        assert state.optimizer is not None
        found = {f"weight/{name}": weight.detach() for name, weight in state.model.named_parameters()}
        found |= state.optimizer.export_state().tensors
        if before is not None:
            moved = {name for name in found if name not in before or not torch.equal(found[name], before[name])}
            assert moved == {name for name in found if block in name or "norm" in name}
        before = found
