"""Proves that what is sent arrives in the real packages, once; they are installed in folders of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.overlays import with_overlay

pytestmark = pytest.mark.slow

READERS = Path(__file__).with_name("readers.py")
SILENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "WANDB_ERROR_REPORTING": "false"}


@pytest.fixture
def arrived(logged, tmp_path):
    """Sends a copy of a run twice, and returns what a package then has of it."""

    def arrived(package, logger, target):
        shutil.copytree(logged.bare.path, tmp_path / "run")
        done = subprocess.run(
            [sys.executable, READERS, package, logger, target],
            cwd=tmp_path,
            env=with_overlay(package) | SILENT | {"TRACKIO_DIR": str(tmp_path / "trackio")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        document = json.loads(done.stdout.splitlines()[-1])
        assert document["sent"] == [len(logged.bare.trials), 0]
        return document["found"]

    return arrived


def curve(logged, trial):
    own = logged.bare.curves[logged.bare.curves["trial"] == trial.number]
    return [list(row) for row in zip(own["step"], own["loss"], strict=True)]


def test_tensorboard_reads_the_event_files(arrived, logged):
    found = arrived("tensorboard", "tensorboard", "run/tensorboard")
    for trial in logged.kept.trials:
        shown = found[trial.name].get("trial/val_loss", [])
        assert [step for step, _ in shown] == [step for step, _ in curve(logged, trial)]
        assert [loss for _, loss in shown] == pytest.approx([loss for _, loss in curve(logged, trial)])
    best = logged.kept.results[-1].results["best_val_loss"]
    assert found["search"]["result/best_val_loss"][-1][1] == pytest.approx(best)


def test_mlflow_has_a_run_with_a_child_for_each_trial(arrived, logged):
    found = arrived("mlflow", "mlflow=sqlite:///mlruns.db", "sqlite:///mlruns.db")
    parent = found.pop("run")
    assert parent["status"] == "FINISHED"
    assert parent["parameters"]["budget.tokens"] == "2560"
    assert parent["tags"]["verdict"] == logged.bare.verdict.sentence
    assert parent["files"] == ["best.yaml", "ranking.csv", "report.html"]
    assert set(found) == {trial.name for trial in logged.kept.trials}
    for trial in logged.kept.trials:
        child = found[trial.name]
        assert child["tags"]["mlflow.parentRunId"] == parent["id"]
        assert child["parameters"]["stage1.optimizer"] == trial.settings["stage1.optimizer"]
        assert float(child["parameters"]["stage1.lr"]) == trial.settings["stage1.lr"]
        if trial.points:  # a schedule that was known trained nothing
            assert child["val_loss"] == curve(logged, trial)


@pytest.mark.parametrize(
    ("package", "logger", "target"), [("wandb", "wandb", "run"), ("trackio", "trackio=mine", "mine")]
)
def test_a_tool_with_init_log_and_finish_has_a_run_for_each_trial(package, logger, target, arrived, logged):
    found = arrived(package, logger, target)
    assert found.pop("search")["settings"]["verdict"] == logged.bare.verdict.sentence
    assert set(found) == {trial.name for trial in logged.kept.trials}
    for trial in logged.kept.trials:
        shown = found[trial.name]
        assert shown["settings"]["stage1.optimizer"] == trial.settings["stage1.optimizer"]
        step = "_step" if package == "wandb" else "step"
        losses = [[row[step], row["val_loss"]] for row in shown["rows"] if "val_loss" in row]
        assert losses == curve(logged, trial)
