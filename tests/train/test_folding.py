"""Proves that a stage with a folded average ends with exactly the weights that a measured average would have had,
that they are evaluated, saved and trained on, and that nothing is charged for it."""

from __future__ import annotations

from pathlib import Path

from mbo_search.study.spec.schedule import Regularizer
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from tests.train.builder import LINEAR, differing, make_schedule, make_stage, read_state, run_whole


def averaged(kind: str) -> tuple[Regularizer, ...]:
    return (Regularizer(kind=kind, strength=0.8),)


def test_the_folded_weights_are_those_that_a_measured_average_has(setup: TrainSetup, tmp_path: Path) -> None:
    measured, _ = run_whole(
        setup, make_schedule(make_stage("a", 1.0, "adamw", lr_shape=LINEAR, regularizers=averaged("ema"))), tmp_path
    )
    folded, _ = run_whole(
        setup,
        make_schedule(make_stage("a", 1.0, "adamw", lr_shape=LINEAR, regularizers=averaged("ema_fold"))),
        tmp_path,
    )
    assert folded["curve"][-1].metrics.loss == measured["curve"][-1].metrics.ema_loss
    assert folded["curve"][-1].metrics.ema_loss is None
    assert folded["curve"][-1].tokens == measured["curve"][-1].tokens
    averages = {name.removeprefix("averages:ema/"): t for name, t in measured.items() if ":ema/" in name}
    weights = {name.removeprefix("weights:"): t for name, t in folded.items() if name.startswith("weights:")}
    assert differing(averages, weights) == []


def test_a_kill_after_the_last_step_of_a_stage_folds_once(setup: TrainSetup, tmp_path: Path) -> None:
    schedule = make_schedule(
        make_stage("a", 0.3, "adamw", regularizers=averaged("ema_fold")),
        make_stage("b", 0.7, "adamw", hand_over="carry", lr_shape=LINEAR, regularizers=averaged("ema_fold")),
    )
    whole, path = run_whole(setup, schedule, tmp_path / "whole")
    for steps in (5, 6, 7):  # before, at and after the end of the first stage
        polls = iter([*[False] * steps, True])
        runner = TorchStageRunner(setup, tmp_path / f"scratch{steps}")
        assert runner.run(None, path.segments, 3, lambda polls=polls: next(polls))[0] is None
        folder, report = TorchStageRunner(setup, tmp_path / f"scratch{steps}").run(
            None, path.segments, 3, lambda: False
        )
        assert folder is not None, report.message
        assert differing(read_state(folder) | {"curve": report.curve}, whole) == []
