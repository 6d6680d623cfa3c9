"""Proves that batches and contexts of stages are trained to the bit, interrupted anywhere, whatever is shared."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbo_search.data.prepare import PreparedData
from mbo_search.study.spec.schedule import Schedule
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
from tests.train.test_bit_for_bit import Tree as UnshapedTree

SEED = 3


@pytest.fixture(scope="module")
def setup(data: PreparedData) -> TrainSetup:
    """Ten segments of 96 tokens: six plain steps of 16, or steps of 32, 48 and 96."""
    return tiny_setup(data, batch_tokens=16, steps_per_segment=6, unit_steps=6, branch_points=(3, 4))


def ramp(share: float = 0.3, *, optimizer: str = "adamw", last_batch: int = 96) -> Schedule:
    """A ramp of batches with a late switch of the context, over carried and reset state."""
    return make_schedule(
        make_stage("short", share, optimizer, batch_tokens=16, context=8, warmup=0.1),
        make_stage("ramp", round(0.7 - share, 2), optimizer, batch_tokens=32, context=8, hand_over="carry"),
        make_stage(
            "long",
            0.3,
            "lion",
            batch_tokens=last_batch,
            hand_over="reset",
            lr_shape=LINEAR,
            regularizers=every_regularizer(),
        ),
    )


PIECES = [1, 17, 1, 11, 3]
"""Within both first stages, and at both boundaries."""


def test_interrupted_and_resumed_equals_uninterrupted(setup: TrainSetup, tmp_path: Path) -> None:
    whole, path = run_whole(setup, ramp(optimizer="ademamix"), tmp_path / "whole", seed=SEED)
    assert [segment.num_steps for segment in path.segments] == [6] * 3 + [3] * 4 + [1] * 3
    executed = 0
    for number_of_steps in PIECES:
        polls = iter([*[False] * number_of_steps, True])
        runner = TorchStageRunner(setup, tmp_path / "scratch")
        folder, report = runner.run(None, path.segments, SEED, lambda polls=polls: next(polls))
        executed += report.cost.executed_tokens
    assert folder is not None, report.message
    assert executed == setup.budget().total_tokens
    assert report.cost.wasted_tokens == 0
    assert differing(read_state(folder) | {"curve": report.curve}, whole) == []


def test_costs_and_curves_count_tokens_and_not_steps(setup: TrainSetup, tmp_path: Path) -> None:
    found, _ = run_whole(setup, ramp(), tmp_path, seed=SEED)
    assert [point.tokens for point in found["curve"]] == [96 * (index + 1) for index in range(10)]
    assert [point.step for point in found["curve"]] == [6, 12, 18, 21, 24, 27, 30, 31, 32, 33]
    assert found["state"]["position_tokens"] == 960


class Tree(UnshapedTree):
    """A tree whose states are compared with the shapes of their stages."""

    def state(self, key: str) -> dict:
        found = read_state(self.store.load(key).node.path)
        found["state"]["stage"] |= {"name": "", "share": 0.0}
        return found


def test_a_shared_prefix_equals_unshared_training(setup: TrainSetup, tmp_path: Path) -> None:
    shared = Tree(setup, tmp_path / "shared")
    shared.train(ramp(0.3))
    for schedule, new_segments in ((ramp(0.4), 7), (ramp(0.3, last_batch=48), 3)):
        alone = Tree(setup, tmp_path / f"alone {new_segments}")
        outcome, expected = shared.train(schedule), alone.train(schedule)
        assert outcome.cost.executed_tokens == 96 * new_segments
        assert outcome.requested_tokens == 960
        assert [boundary.tokens for boundary in outcome.boundaries] == [
            boundary.tokens for boundary in expected.boundaries
        ]
        assert outcome.curve == expected.curve
        for boundary in expected.boundaries:
            assert differing(shared.state(boundary.node), alone.state(boundary.node)) == []
        assert [row.tokens for row in outcome.steps] == [row.tokens for row in expected.steps]
        assert outcome.steps[-1].tokens == 960


def test_short_rows_fill_a_micro_batch_with_as_many_tokens(data: PreparedData, tmp_path: Path) -> None:
    schedule = make_schedule(make_stage("only", 1.0, "sgd_nesterov", batch_tokens=96, context=8, lr=0.1))
    states = []
    for micro_batch in (1, 6):
        setup = tiny_setup(data, batch_tokens=48, steps_per_segment=2, unit_steps=2, micro_batch=micro_batch)
        found, _ = run_whole(setup, schedule, tmp_path / str(micro_batch), seed=SEED)
        states.append([point.train_loss for point in found["curve"]])
    assert states[0] == pytest.approx(states[1], rel=1e-5)
