"""Proves that a stage with a mean of weights ends with exactly that mean, that it is evaluated and saved, that no
interruption and no sharing changes a bit of it, and that it equals a decay where gradients do not change."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mbo_search.store.local import StageStore
from mbo_search.study.spec.schedule import LrShape, Schedule
from mbo_search.train.evaluation import evaluate, validation_set
from mbo_search.train.execution.execute import execute
from mbo_search.train.execution.path import schedule_path, spans
from mbo_search.train.saved_state import load_model
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from tests.train.builder import differing, make_schedule, make_stage, read_state, run_whole, tiny_setup

SEED = 3


def average(span: float, like: str = "linear") -> LrShape:
    return LrShape(kind="average", hparams={"span": span, "like": like})


def averaged(optimizer: str = "adamw", **settings: object) -> Schedule:
    """A mean at the end of the first stage, from which the second goes on, and one at its end."""
    return make_schedule(
        make_stage("a", 0.5, optimizer, warmup=0.1, lr_shape=average(0.2, "sqrt"), **settings),
        make_stage("b", 0.5, optimizer, hand_over="carry", lr_shape=average(0.3), weight_decay=0.3),
    )


@pytest.fixture(scope="module")
def short(data) -> TrainSetup:
    return tiny_setup(data, steps_per_segment=2, points=10, branch_points=(2,))


def written_out(setup: TrainSetup, scratch: Path) -> dict[str, torch.Tensor]:
    """The equal mean of the weights after each of the last six steps of twenty, step by step."""
    runner, schedule = TorchStageRunner(setup, scratch), make_schedule(make_stage("a", 1.0, "adamw"))
    path = schedule_path(schedule, setup, SEED)
    found = []
    for steps in (14, 15, 16, 17, 18, 19, 20):
        polls = iter([*[False] * (steps if steps == 14 else 1), True])
        folder, _ = runner.run(None, path.segments, SEED, lambda polls=polls: next(polls, True))
        state = folder or next((scratch / path.keys[-1]).glob("*/state.json")).parent
        found.append({k: t for k, t in read_state(state).items() if k.startswith("weights:")})
    return {name: torch.stack([one[name] for one in found[1:]]).mean(0) for name in found[0]}


def test_the_last_weights_are_the_mean_and_are_what_is_evaluated(short: TrainSetup, tmp_path: Path) -> None:
    schedule = make_schedule(make_stage("a", 1.0, "adamw", lr_shape=average(0.3)))
    path = schedule_path(schedule, short, SEED)
    runner = TorchStageRunner(short, tmp_path / "one")
    folder, report = runner.run(None, path.segments, SEED, lambda: False)
    assert folder is not None
    weights = {name: t for name, t in read_state(folder).items() if name.startswith("weights:")}
    for name, mean in written_out(short, tmp_path / "steps").items():
        torch.testing.assert_close(weights[name], mean)
    eval_set = validation_set(runner._prepared, short)
    model = load_model(folder, short)
    assert evaluate(model, eval_set.rows, short).loss == report.metrics.loss
    assert not (folder / "averages.safetensors").exists()


def test_losses_within_the_span_are_those_of_the_mean_so_far(short: TrainSetup, tmp_path: Path) -> None:
    constant, _ = run_whole(short, make_schedule(make_stage("a", 1.0, "adamw")), tmp_path)
    mean, _ = run_whole(short, make_schedule(make_stage("a", 1.0, "adamw", lr_shape=average(0.3))), tmp_path)
    same = [one.loss == other.loss for one, other in zip(constant["curve"], mean["curve"], strict=True)]
    assert same == [True] * 7 + [False] * 3
    assert [one.train_loss for one in constant["curve"]] == [one.train_loss for one in mean["curve"]]


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("muon", "sf_adamw")]


@pytest.mark.parametrize("optimizer", ["adamw", *SLOW])
def test_interrupted_and_resumed_equals_uninterrupted(short: TrainSetup, tmp_path: Path, optimizer: str) -> None:
    schedule = averaged(optimizer, trainable="attention+mlp+norms")
    whole, path = run_whole(short, schedule, tmp_path / "whole", seed=SEED)
    for number_of_steps in (0, 6, 1, 1, 1, 1, 1, 3, 1, 1, 4):  # within and at the ends of spans and stages
        polls = iter([*[False] * number_of_steps, True])
        runner = TorchStageRunner(short, tmp_path / "scratch")
        folder, report = runner.run(None, path.segments, SEED, lambda polls=polls: next(polls))
    assert folder is not None, report.message
    assert differing(read_state(folder) | {"curve": report.curve}, whole) == []


def test_a_tree_trains_what_no_tree_trains_and_shares_the_trunk(short: TrainSetup, tmp_path: Path) -> None:
    def one(span: float, like: str) -> Schedule:
        return make_schedule(make_stage("a", 1.0, "adamw", lr_shape=average(span, like)))

    def train(schedule: Schedule, root: Path):
        store = StageStore(root / "stages", None, short.windows_fingerprint)
        runner, path = TorchStageRunner(short, root / "scratch"), schedule_path(schedule, short, SEED)
        quiet = {"stop": lambda: False, "on_boundary": lambda event: False, "log": lambda line: None}
        return execute(path, runner, store, **quiet), store

    schedules = [one(0.3, "linear"), one(0.3, "sqrt"), one(0.5, "linear")]
    for number, schedule in enumerate(schedules):
        shared, store = train(schedule, tmp_path / "tree")
        alone, own = train(schedule, tmp_path / f"alone{number}")
        node = alone.boundaries[-1].node
        assert shared.curve == alone.curve
        states = [read_state(kept.load(node).node.path) for kept in (store, own)]
        assert differing(*states) == []
    assert shared.cost.executed_tokens < shared.requested_tokens
    ends = [span.segments[-1].index + 1 for span in spans(schedule_path(schedules[0], short, SEED))]
    assert ends == [2, 7, 10]  # a branch point of the study, the trunk's end, the schedule's end
