"""Proves that adapters train, that what was interrupted ends as what was not, and that states hold no base."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mbo_search.data.prepare import PreparedData
from mbo_search.model.blocks import block_of, trainable_names
from mbo_search.model.build import sized_model
from mbo_search.study.spec.adapters import Adapter
from mbo_search.study.spec.pretrained import PretrainedSpec
from mbo_search.study.spec.schedule import Regularizer, Schedule
from mbo_search.testing.pretrained import write_pretrained
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.saved_state import fresh_state, load_model, load_state
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from mbo_search.trial.reports import Node
from tests.train.builder import LINEAR, differing, make_schedule, make_stage, read_state, tiny_setup
from tests.train.test_kept_weights import nodes

SEED = 3
ADAPTER = Adapter(rank=2, alpha=4.0, dropout=0.1)
EMA = (Regularizer(kind="ema", strength=0.9), Regularizer(kind="l2_sp", strength=0.01))

LORA_THEN_ALL = make_schedule(
    make_stage("warm", 0.3, "muon", trainable="lora", adapter=ADAPTER, regularizers=EMA),
    make_stage("cool", 0.7, "adamw", hand_over="carry", trainable="all", lr_shape=LINEAR, regularizers=EMA),
)
LORA_WITH_NORMS = make_schedule(
    make_stage("warm", 0.3, "adamw", trainable="lora+norms", adapter=ADAPTER),
    make_stage("cool", 0.7, "sf_adamw", hand_over="reset", trainable="lora", regularizers=EMA),
)


def setup_of(architecture: str, data: PreparedData, folder: Path) -> TrainSetup:
    write_pretrained(architecture, folder)
    lora = {"lora": {"rank": 2}}
    spec = PretrainedSpec(pretrained=str(folder), context=16, layers=2, adapters=lora)
    return tiny_setup(data, model=sized_model(spec, data.metadata.vocab_size))


@pytest.fixture(
    scope="module",
    params=["llama", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gpt2", "bert"))],
)
def setup(
    request: pytest.FixtureRequest, data: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> TrainSetup:
    return setup_of(request.param, data, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("schedule", [LORA_THEN_ALL, LORA_WITH_NORMS])
def test_a_state_that_is_read_back_goes_on_as_the_one_in_memory(
    schedule: Schedule, setup: TrainSetup, tmp_path: Path
) -> None:
    in_memory, path = nodes(setup, schedule, tmp_path / "whole"), schedule_path(schedule, setup, SEED)
    for first in (1, 3, 4):
        node = Node(key=path.keys[first - 1], path=in_memory[first - 1])
        folder, _ = TorchStageRunner(setup, tmp_path / "again").run(
            node, [path.segments[first]], SEED, lambda: False
        )
        assert folder is not None
        assert differing(read_state(folder), read_state(in_memory[first])) == []


def test_states_hold_the_adapters_and_what_was_trained(setup: TrainSetup, tmp_path: Path) -> None:
    folders = nodes(setup, LORA_THEN_ALL, tmp_path)
    warm, cool = load_state(folders[2], setup), load_state(folders[-1], setup)
    assert load_file(folders[2] / "weights.safetensors").keys() == trainable_names(warm.model, "lora")
    assert load_file(folders[-1] / "weights.safetensors").keys() == trainable_names(cool.model, "all")
    size, whole = (
        sum(file.stat().st_size for file in folder.iterdir() if file.suffix == ".safetensors")
        for folder in (folders[2], folders[-1])
    )
    assert size < whole / 3


def test_only_adapters_learn(setup: TrainSetup, tmp_path: Path) -> None:
    schedule = make_schedule(make_stage("only", 1.0, "adamw", trainable="lora", adapter=ADAPTER, lr_shape=LINEAR))
    model = load_model(nodes(setup, schedule, tmp_path)[-1], setup)
    before = dict(fresh_state(setup, SEED).model.named_parameters())
    after = dict(model.named_parameters())
    assert {name for name in after if block_of(name) == "lora"} == after.keys() - before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(float(after[name].detach().abs().sum()) > 0 for name in after.keys() - before.keys())


def test_adapters_follow_from_the_seed_and_are_in_the_key(setup: TrainSetup) -> None:
    def drawn(seed: int) -> dict[str, torch.Tensor]:
        model = fresh_state(setup, SEED).model
        before = torch.get_rng_state()
        model.attach(ADAPTER, seed)
        assert torch.equal(before, torch.get_rng_state())
        return {name: weight for name, weight in model.named_parameters() if ".lora_A." in name}

    one, again, other = drawn(3), drawn(3), drawn(4)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)
    stages = [
        make_stage("only", 1.0, "adamw", trainable="lora", adapter=ADAPTER.model_copy(update=change))
        for change in ({}, {"rank": 3}, {"alpha": 5.0}, {"dropout": 0.2}, {"targets": "mlp"})
    ]
    assert len({schedule_path(make_schedule(stage), setup, SEED).keys[0] for stage in stages}) == len(stages)


def test_recomputed_layers_train_to_the_same_weights(setup: TrainSetup, tmp_path: Path) -> None:
    schedule = make_schedule(make_stage("only", 1.0, "adamw", trainable="lora", adapter=ADAPTER, lr_shape=LINEAR))
    recomputing = setup.model_copy(update={"gradient_checkpointing": True})
    plain, again = (
        load_file(run_whole_folder(one, schedule, tmp_path / name) / "weights.safetensors")
        for name, one in (("plain", setup), ("again", recomputing))
    )
    assert all(torch.allclose(plain[name], again[name], atol=1e-6) for name in plain)


def run_whole_folder(setup: TrainSetup, schedule: Schedule, scratch: Path) -> Path:
    path = schedule_path(schedule, setup, SEED)
    folder, report = TorchStageRunner(setup, scratch).run(None, path.segments, SEED, lambda: False)
    assert folder is not None, report.message
    return folder
