"""Scripts for other trainers: what they say, what is refused, and that they train to the recorded loss."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest

from mbo_search.errors import UserError
from mbo_search.export.files import Chosen, export_schedules
from mbo_search.study.spec.schedule import BlockGroup, Regularizer, Schedule
from tests.export.frameworks.test_hub import recorded_loss
from tests.export.trained import build_pretrained_run
from tests.helpers.overlays import with_overlay
from tests.helpers.spans import full_stage


def written(run, form, folder, trial=0):
    (found,) = export_schedules(run, Chosen(trial=trial), form, folder / "best.py")
    return found


@pytest.mark.parametrize("form", ["hf-trainer", "lightning"])
def test_a_script_is_python_and_says_what_differs(run, form, tmp_path):
    exported = written(run, form, tmp_path, trial=1)
    text = exported.out.read_text(encoding="utf-8")
    told = " ".join(ast.get_docstring(ast.parse(text)).split())
    assert all(remark in told for remark in exported.remarks)
    assert "Llama of transformers knows dropout of attention weights alone" in told
    assert "mbo_search" not in text
    assert len(text.splitlines()) <= 450
    assert {path.name for path in exported.files} == {"best.py", "best.data"}


def test_a_script_must_be_named_like_one(run, tmp_path):
    with pytest.raises(UserError, match=r"must end in \.py"):
        export_schedules(run, Chosen(trial=0), "hf-trainer", tmp_path / "best.txt")
    assert list(tmp_path.iterdir()) == []


def loss_of(script, environment):
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", script],
        env=environment | {"HF_HUB_OFFLINE": "1"},
        cwd=script.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    word, number = ran.stdout.splitlines()[-1].split()
    assert word == "val_loss"
    return float(number)


HARD = Schedule(
    stages=(
        full_stage("a", 0.5, lr=0.001, layer_decay=0.8, groups={"embeddings": BlockGroup(lr_ratio=0.5)}),
        full_stage(
            "b",
            0.5,
            optimizer="lion",
            lr=3e-4,
            hand_over="carry",
            trainable="attention+norms",
            regularizers=(Regularizer(kind="l2_sp", strength=0.01),),
        ),
    )
)
"""A schedule whose every setting a script has to follow to come to the same weights."""


@pytest.mark.slow
def test_the_trainer_of_transformers_trains_a_pretrained_model_to_the_recorded_loss(tmp_path, monkeypatch):
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(tmp_path / "cache"))
    run = build_pretrained_run(tmp_path, HARD)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    loss = loss_of(written(run, "hf-trainer", tmp_path).out, environment)
    assert loss == pytest.approx(recorded_loss(run, 0), abs=1e-5)


@pytest.mark.slow
def test_lightning_trains_to_the_recorded_loss(run, tmp_path):
    script = written(run, "lightning", tmp_path).out
    assert loss_of(script, with_overlay("lightning")) == pytest.approx(recorded_loss(run, 0), abs=1e-5)
