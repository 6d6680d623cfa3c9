"""Scripts for other trainers: what they say, what is refused, and that they train to the recorded loss."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest

from mbo_search.errors import UserError
from mbo_search.export.files import Chosen, export_schedules
from tests.export.frameworks.test_hub import recorded_loss
from tests.helpers.overlays import with_overlay


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


@pytest.mark.slow
def test_the_trainer_of_transformers_trains_to_the_recorded_loss(run, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    assert loss_of(written(run, "hf-trainer", tmp_path).out, environment) == pytest.approx(
        recorded_loss(run, 0), abs=1e-5
    )


@pytest.mark.slow
def test_lightning_trains_to_the_recorded_loss(run, tmp_path):
    script = written(run, "lightning", tmp_path).out
    assert loss_of(script, with_overlay("lightning")) == pytest.approx(recorded_loss(run, 0), abs=1e-5)
