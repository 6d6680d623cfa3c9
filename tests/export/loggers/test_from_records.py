"""Proves that loggers are given what the records hold."""

from __future__ import annotations

import pytest

from mbo_search.export.loggers.from_records import curve_points
from mbo_search.results.records.records import Curve


def test_settings_are_named_by_stage(logged):
    trial = next(trial for trial in logged.kept.trials if trial.arm == "staged")
    stages = logged.run.schedule(trial.number).stages
    assert trial.settings["stages"] == 2
    for number, stage in enumerate(stages, start=1):
        assert trial.settings[f"stage{number}.name"] == stage.name
        assert trial.settings[f"stage{number}.optimizer"] == stage.optimizer
        assert trial.settings[f"stage{number}.lr"] == stage.lr
        for name, value in stage.hparams.items():
            assert trial.settings[f"stage{number}.{stage.optimizer}.{name}"] == value


def test_curves_are_those_of_the_run(logged):
    curves = logged.run.curves
    for trial in logged.kept.trials:
        own = curves[curves["trial"] == trial.number]
        points = [(point.step, point.values["val_loss"]) for point in trial.points if "val_loss" in point.values]
        assert points == list(zip(own["step"], own["loss"], strict=True))
        if points:  # a schedule that was known trained nothing
            assert trial.results["val_loss"] == points[-1][1]
    assert any(trial.points for trial in logged.kept.trials)


def test_the_best_loss_never_rises(logged):
    bests = [trial.best_val_loss for trial in logged.kept.trials]
    assert bests == sorted(bests, reverse=True)
    assert bests[-1] == pytest.approx(logged.run.trials["val_loss"].min())


def test_a_study_s_settings_stand_under_their_paths(logged):
    settings = logged.kept.searches[0].settings
    assert settings["budget.tokens"] == 2560
    assert settings["model.width"] == 16
    assert not any(name.startswith("stage") for name in settings)


def test_evaluations_and_training_steps_share_a_step():
    row = {"step": 4, "tokens": 8, "stage": 0, "lr": 0.1, "train_loss": 9.0, "loss": 2.0, "grad_norm": 9.0}
    step = {"step": 4, "tokens": 8, "seconds": 1.0, "train_loss": 3.0, "grad_norm": 1.0, "tokens_per_second": None}
    (point,) = curve_points(Curve(trial=0, rows=(row,), steps=(step,)))
    assert point.values == {
        "tokens": 8,
        "val_loss": 2.0,
        "lr": 0.1,
        "stage": 1,
        "train_loss": 3.0,
        "grad_norm": 1.0,
    }
    (coarse,) = curve_points(Curve(trial=0, rows=(row,)))
    assert coarse.values["train_loss"] == 9.0
