"""Proves that pretrained models train like fresh ones: what was interrupted ends as what was not, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from mbo_search.data.prepare import PreparedData
from mbo_search.model.blocks import block_of
from mbo_search.model.build import sized_model
from mbo_search.study.spec.pretrained import PretrainedSpec
from mbo_search.study.spec.schedule import Regularizer
from mbo_search.testing.pretrained import ARCHITECTURES, MASKED_ARCHITECTURES, write_pretrained
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.saved_state import fresh_state, load_model
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from mbo_search.trial.reports import Node
from tests.train.builder import LINEAR, differing, make_schedule, make_stage, read_state, run_whole, tiny_setup

SEED = 3


@pytest.fixture(scope="module", params=sorted({**ARCHITECTURES, **MASKED_ARCHITECTURES}))
def setup(
    request: pytest.FixtureRequest, data: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> TrainSetup:
    folder = write_pretrained(request.param, tmp_path_factory.mktemp(request.param))
    model = sized_model(PretrainedSpec(pretrained=str(folder), context=16, layers=2), data.metadata.vocab_size)
    return tiny_setup(data, model=model)


SCHEDULE = make_schedule(
    make_stage("warm", 0.3, "muon", regularizers=(Regularizer(kind="dropout", strength=0.1),)),
    make_stage(
        "cool",
        0.7,
        "adamw",
        hand_over="carry",
        lr_shape=LINEAR,
        trainable="attention+mlp",
        regularizers=(Regularizer(kind="l2_sp", strength=0.01),),
        layer_decay=0.8,
        groups={"attention": {"lr_ratio": 0.5, "weight_decay": 0.0}},
        cycle={"blocks": ("attention", "mlp"), "tokens": 300},
    ),
)


def test_interrupted_at_every_boundary_is_uninterrupted(setup: TrainSetup, tmp_path: Path) -> None:
    whole, path = run_whole(setup, SCHEDULE, tmp_path / "whole", seed=SEED)
    for cut in range(1, len(path.segments)):
        first, _ = TorchStageRunner(setup, tmp_path / "a").run(None, path.segments[:cut], SEED, lambda: False)
        assert first is not None
        node = Node(key=path.keys[cut - 1], path=first)
        last, _ = TorchStageRunner(setup, tmp_path / "b").run(node, path.segments[cut:], SEED, lambda: False)
        assert last is not None
        assert differing({k: v for k, v in whole.items() if k != "curve"}, read_state(last)) == []


def test_layers_that_are_computed_again_train_to_the_same_bits(setup: TrainSetup, tmp_path: Path) -> None:
    kept, _ = run_whole(setup, SCHEDULE, tmp_path / "kept", seed=SEED)
    recomputing = setup.model_copy(update={"gradient_checkpointing": True})
    again, _ = run_whole(recomputing, SCHEDULE, tmp_path / "again", seed=SEED)
    losses, same = ([point.loss for point in found.pop("curve")] for found in (kept, again))
    assert losses == same
    assert differing(kept, again) == []


def test_frozen_parameters_keep_their_pretrained_bits(setup: TrainSetup, tmp_path: Path) -> None:
    frozen = make_schedule(make_stage("only", 1.0, "adamw", lr_shape=LINEAR, trainable="mlp"))
    path = schedule_path(frozen, setup, SEED)
    folder, _ = TorchStageRunner(setup, tmp_path).run(None, path.segments, SEED, lambda: False)
    assert folder is not None
    before = dict(fresh_state(setup, SEED).model.named_parameters())
    after = dict(load_model(folder, setup).named_parameters())
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if block_of(name) == "mlp"}


def test_the_weights_are_in_the_key_and_the_place_is_not(setup: TrainSetup) -> None:
    moved = setup.model.model_copy(update={"pretrained": "/elsewhere"})
    other = setup.model.model_copy(update={"sha256": "0" * 64})
    cut = setup.model.model_copy(update={"layers": 1})
    key = setup.root_key(SEED)
    assert setup.model_copy(update={"model": moved}).root_key(SEED) == key
    assert setup.model_copy(update={"model": other}).root_key(SEED) != key
    assert setup.model_copy(update={"model": cut}).root_key(SEED) != key
    assert setup.numerics["transformers"] == transformers.__version__
    assert TrainSetup.model_validate(setup.model_dump(mode="json"), strict=False) == setup
