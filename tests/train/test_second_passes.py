"""Proves that steps with a second pass are charged twice, that they change what is trained, and that no
interruption changes a bit of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbo_search.data.prepare import PreparedData
from mbo_search.study.spec.schedule import Regularizer, Schedule
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from tests.train.builder import LINEAR, differing, make_schedule, make_stage, read_state, run_whole, tiny_setup

TWICE = {
    "sam": (Regularizer(kind="sam", strength=0.1),),
    "r_drop": (Regularizer(kind="r_drop", strength=1.0), Regularizer(kind="dropout", strength=0.2)),
}


@pytest.fixture(scope="module")
def short(data: PreparedData) -> TrainSetup:
    return tiny_setup(data, steps_per_segment=2, branch_points=())


def schedule_of(regularizers: tuple[Regularizer, ...]) -> Schedule:
    return make_schedule(
        make_stage("plain", 0.2, "adamw"),
        make_stage("twice", 0.4, "adamw", hand_over="carry", regularizers=regularizers),
        make_stage("cool", 0.4, "muonh", hand_over="carry", lr_shape=LINEAR),
    )


@pytest.mark.parametrize("kind", sorted(TWICE))
def test_two_passes_are_charged_and_resume_bit_for_bit(short: TrainSetup, tmp_path: Path, kind: str) -> None:
    whole, path = run_whole(short, schedule_of(TWICE[kind]), tmp_path / "whole")
    assert [segment.num_steps for segment in path.segments] == [2] * 2 + [1] * 4 + [2] * 4
    assert path.tokens_done[-1] == short.budget().total_tokens
    executed = 0
    for number_of_steps in (3, 1, 1, 2, 99):  # before, at and after the edges of the stage
        polls = iter([*[False] * number_of_steps, True])
        runner = TorchStageRunner(short, tmp_path / "scratch")
        folder, report = runner.run(None, path.segments, 3, lambda polls=polls: next(polls, True))
        executed += report.cost.executed_tokens
    assert folder is not None, report.message
    assert executed == short.budget().total_tokens
    assert differing(read_state(folder) | {"curve": report.curve}, whole) == []
    plain, _ = run_whole(short, schedule_of(()), tmp_path / "plain")
    assert plain["curve"][0] == whole["curve"][0]
    assert plain["curve"][-1].metrics.loss != whole["curve"][-1].metrics.loss
