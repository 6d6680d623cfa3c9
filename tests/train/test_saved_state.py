"""Proves that a state on disk is checked against the model before anything of it is used, and that the loaded model
has the weights that were measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mbo_search.data.prepare import PreparedData
from mbo_search.data.windows import WindowRows
from mbo_search.errors import StoreError
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.train.evaluation import evaluate
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.saved_state import load_model, load_state, save_state
from mbo_search.train.setup.eval_text import evaluation_windows_of
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from tests.train.builder import differing, every_regularizer, make_schedule, make_stage, read_state


def trained(setup: TrainSetup, root: Path, optimizer: str = "adamw", num_segments: int = 3) -> tuple[Path, object]:
    schedule = make_schedule(make_stage("only", 1.0, optimizer, regularizers=every_regularizer()))
    path = schedule_path(schedule, setup, 0)
    polls = iter([False] * (2 * num_segments - 1) + [True])
    runner = TorchStageRunner(setup, root)
    folder, report = runner.run(None, path.segments[:num_segments], 0, lambda: next(polls))
    if folder is None:
        folder = next((root / path.keys[num_segments - 1]).glob("partial-*"))
        (folder / "call.json").unlink()
    return folder, report


def test_a_state_in_the_middle_of_a_segment_comes_back_whole(setup: TrainSetup, tmp_path: Path) -> None:
    folder, _ = trained(setup, tmp_path / "scratch")
    assert sorted(path.name for path in folder.iterdir()) == [
        "averages.safetensors",
        "optimizer.safetensors",
        "state.json",
        "weights.safetensors",
    ]
    assert json.loads((folder / "state.json").read_text())["step"] == 5
    state = load_state(folder, setup)
    again = tmp_path / "again"
    again.mkdir()
    save_state(state, again)
    assert differing(read_state(folder), read_state(again)) == []


def rewrite(path: Path, change: Callable[[dict], None]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def rewrite_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


NORM = "model.norm.weight"
DAMAGE: dict[str, Callable[[Path], object]] = {
    "missing weights": lambda folder: (folder / "weights.safetensors").unlink(),
    "truncated weights": lambda folder: (folder / "weights.safetensors").write_bytes(b"\x10"),
    "missing tensor": lambda folder: rewrite(folder / "weights.safetensors", lambda found: found.pop(NORM)),
    "foreign tensor": lambda folder: rewrite(
        folder / "weights.safetensors", lambda found: found.update(extra=torch.zeros(2))
    ),
    "other shape": lambda folder: rewrite(
        folder / "weights.safetensors", lambda found: found.update({NORM: torch.zeros(31)})
    ),
    "other type": lambda folder: rewrite(
        folder / "weights.safetensors", lambda found: found.update({NORM: torch.zeros(32, dtype=torch.float64)})
    ),
    "foreign optimizer slot": lambda folder: rewrite(
        folder / "optimizer.safetensors", lambda found: found.update({"other/exp_avg": torch.zeros(2)})
    ),
    "optimizer slot of another shape": lambda folder: rewrite(
        folder / "optimizer.safetensors", lambda found: found.update({f"{NORM}/exp_avg": torch.zeros(7)})
    ),
    "missing averages": lambda folder: (folder / "averages.safetensors").unlink(),
    "average of another shape": lambda folder: rewrite(
        folder / "averages.safetensors", lambda found: found.update({f"ema/{NORM}": torch.zeros(7)})
    ),
    "state is no json": lambda folder: (folder / "state.json").write_text("{"),
    "state of another version": lambda folder: rewrite_json(folder / "state.json", schema_version="other/9"),
    "state with an unknown key": lambda folder: rewrite_json(folder / "state.json", surprise=1),
    "negative step": lambda folder: rewrite_json(folder / "state.json", step=-1),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_no_state_of_this_model_is_refused(setup: TrainSetup, tmp_path: Path, damage: str) -> None:
    folder, _ = trained(setup, tmp_path)
    DAMAGE[damage](folder)
    with pytest.raises(StoreError, match=r"\.(safetensors|json)"):
        load_state(folder, setup)


def test_the_state_of_another_model_is_refused(setup: TrainSetup, tmp_path: Path) -> None:
    folder, _ = trained(setup, tmp_path)
    wider = setup.model_copy(update={"model": ModelSpec(layers=2, width=64, heads=2, context=16)})
    with pytest.raises(StoreError, match="of another shape"):
        load_state(folder, wider)


@pytest.mark.parametrize("optimizer", ["adamw", "sf_adamw", "sgd_nesterov"])
def test_a_loaded_model_has_the_weights_that_were_measured(
    setup: TrainSetup, data: PreparedData, tmp_path: Path, optimizer: str
) -> None:
    schedule = make_schedule(make_stage("only", 1.0, optimizer, regularizers=every_regularizer()))
    path = schedule_path(schedule, setup, 0)
    folder, report = TorchStageRunner(setup, tmp_path).run(None, path.segments, 0, lambda: False)
    assert folder is not None, report.message
    model = load_model(folder, setup)
    assert not model.training
    windows = evaluation_windows_of(data, context=16, num_tokens=setup.evaluation_tokens)
    found = evaluate(model, WindowRows(tokens=data.tokens("validation"), windows=windows), setup)
    assert found.loss == report.metrics.loss
    assert found.accuracy == report.metrics.accuracy
