"""Proves that states of pretrained models hold what was trained and nothing else, and lose no bit by it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mbo_search.data.prepare import PreparedData
from mbo_search.errors import StoreError
from mbo_search.model.blocks import trainable_names
from mbo_search.model.build import sized_model
from mbo_search.study.spec.pretrained import PretrainedSpec
from mbo_search.study.spec.schedule import Regularizer, Schedule
from mbo_search.testing.pretrained import write_pretrained
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.kept_weights import base_of
from mbo_search.train.saved_state import fresh_state, load_model, load_state
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from mbo_search.trial.reports import Node
from tests.train.builder import LINEAR, differing, make_schedule, make_stage, read_state, tiny_setup

SEED = 3
EMA = (Regularizer(kind="ema", strength=0.9),)

SCHEDULE = make_schedule(
    make_stage("norms", 0.2, "adamw", trainable="norms", regularizers=EMA),
    make_stage("mlp", 0.3, "muon", hand_over="carry", trainable="mlp+norms", regularizers=EMA),
    make_stage("some", 0.2, "sf_adamw", hand_over="reset", trainable="layers:0-0", regularizers=EMA),
    make_stage("all", 0.3, "adamw", hand_over="reset", trainable="all", lr_shape=LINEAR, regularizers=EMA),
)
"""Each boundary has trained other weights, at last all."""


@pytest.fixture(scope="module")
def setup(data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> TrainSetup:
    folder = write_pretrained("llama", tmp_path_factory.mktemp("llama"))
    model = sized_model(PretrainedSpec(pretrained=str(folder), context=16, layers=2), data.metadata.vocab_size)
    return tiny_setup(data, model=model)


def nodes(setup: TrainSetup, schedule: Schedule, root: Path) -> Sequence[Path]:
    """The state after each segment, all trained in one process that never reads a state back."""
    runner, path = TorchStageRunner(setup, root), schedule_path(schedule, setup, SEED)
    node, found = None, []
    for key, segment in zip(path.keys, path.segments, strict=True):
        folder, report = runner.run(node, [segment], SEED, lambda: False)
        assert folder is not None, report.message
        found.append(folder)
        node = Node(key=key, path=folder)
    return found


def test_each_boundary_holds_what_was_trained_so_far(setup: TrainSetup, tmp_path: Path) -> None:
    model = fresh_state(setup, SEED).model
    stages = ("norms", "norms", *["mlp+norms"] * 3, *["mlp+norms+layers:0-0"] * 2, *["all"] * 3)
    for folder, expression in zip(nodes(setup, SCHEDULE, tmp_path), stages, strict=True):
        assert load_file(folder / "weights.safetensors").keys() == trainable_names(model, expression)
        assert load_state(folder, setup).model.trained == trainable_names(model, expression)
        base = json.loads((folder / "state.json").read_text()).get("base")
        assert base == (None if expression == "all" else setup.model.sha256)


def test_a_chain_of_reread_states_ends_in_the_bits_of_one_in_memory(setup: TrainSetup, tmp_path: Path) -> None:
    in_memory, path = nodes(setup, SCHEDULE, tmp_path / "whole"), schedule_path(SCHEDULE, setup, SEED)
    for first in (1, 2, 5, 7):
        node = Node(key=path.keys[first - 1], path=in_memory[first - 1])
        folder, _ = TorchStageRunner(setup, tmp_path / "again").run(
            node, [path.segments[first]], SEED, lambda: False
        )
        assert folder is not None
        assert differing(read_state(folder), read_state(in_memory[first])) == []


def test_what_is_left_out_is_the_folders(setup: TrainSetup, tmp_path: Path) -> None:
    before = dict(fresh_state(setup, SEED).model.named_parameters())
    schedule = make_schedule(make_stage("only", 1.0, "adamw", trainable="norms", regularizers=EMA))
    last = nodes(setup, schedule, tmp_path)[-1]
    model, state = load_model(last, setup), load_state(last, setup)
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert moved == trainable_names(model, "norms") == {n for n, _ in model.named_parameters() if "norm" in n}
    assert base_of(state.model) == setup.model.sha256
    assert state.ema is not None
    averages = state.ema.export_state()
    assert averages.keys() == before.keys()
    assert {name for name in averages if not torch.equal(averages[name], before[name])} == moved


def _other_base(folder: Path) -> None:
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps(state | {"base": "0" * 64}))


def _no_base(folder: Path) -> None:
    state = json.loads((folder / "state.json").read_text())
    del state["base"]
    (folder / "state.json").write_text(json.dumps(state))


def _less(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    weights.pop(min(weights))
    save_file(weights, folder / "weights.safetensors")


def _foreign(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    save_file(weights | {"stranger": torch.zeros(2)}, folder / "weights.safetensors")


@pytest.mark.parametrize("damage", [_other_base, _no_base, _less, _foreign])
def test_a_damaged_state_is_refused(damage: Callable[[Path], None], setup: TrainSetup, tmp_path: Path) -> None:
    schedule = make_schedule(make_stage("only", 1.0, "adamw", trainable="norms"))
    folder = nodes(setup, schedule, tmp_path)[0]
    damage(folder)
    with pytest.raises(StoreError):
        load_state(folder, setup)


def test_a_folder_with_other_weights_is_noticed(data: PreparedData, tmp_path: Path) -> None:
    folder = write_pretrained("llama", tmp_path / "base")
    model = sized_model(PretrainedSpec(pretrained=str(folder), context=16, layers=1), data.metadata.vocab_size)
    setup = tiny_setup(data, model=model)
    schedule = make_schedule(make_stage("only", 1.0, "adamw", trainable="norms"))
    state = nodes(setup, schedule, tmp_path)[0]
    load_model(state, setup)
    write_pretrained("llama", folder, seed=1)
    with pytest.raises(StoreError, match="no longer holds the weights"):
        load_model(state, setup)
