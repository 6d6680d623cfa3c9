"""The code that scripts are made of does what the search does: optimizers, hand-over, regularizers, rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mbo_search.data.batches import TokenStream
from mbo_search.export.frameworks import stages_script
from mbo_search.export.frameworks.remarks import remarks_on
from mbo_search.optim.groups import acting_optimizer, partition_parameters
from mbo_search.optim.handover import hand_over
from mbo_search.optim.regularizers import NoiseSeed, Regularizers, begin_regularizers
from mbo_search.optim.staged import build_optimizer
from mbo_search.study.catalogue.hand_over import can_carry
from mbo_search.study.spec.schedule import BlockGroup, Regularizer
from tests.helpers.spans import full_stage

EXACT = ("adam", "adamw", "nadamw", "sgd_nesterov", "lion")
STEPS = 3


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(8, 4)
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(2)])

    def forward(self, ids):
        hidden = self.embedding(ids)
        for layer in self.layers:
            hidden = torch.tanh(layer(hidden))
        return hidden @ self.embedding.weight.T


def batch(step):
    ids = torch.randint(8, (16,), generator=torch.Generator().manual_seed(step))
    return ids, (ids * 3) % 8


def by_the_search(stages):
    model, optimizer, regularizers = Tiny(), None, Regularizers()
    for index, stage in enumerate(stages):
        if optimizer is None:
            optimizer = build_optimizer(model, stage, budget_steps=6)
        else:
            state, previous = optimizer.export_state(), stages[index - 1]
            mode = stage.hand_over
            optimizer = hand_over(state, model=model, previous=previous, stage=stage, mode=mode, budget_steps=6)
        regularizers = begin_regularizers(model, stage, regularizers)
        for step in range(index * STEPS, (index + 1) * STEPS):
            optimizer.set_lr(0.01 * (step + 1))
            ids, targets = batch(step)
            regularizers.training_loss(model(ids), targets)[0].backward()
            learning = [one for one in model.parameters() if one.requires_grad]
            noise = NoiseSeed(seed=0, step=step)
            regularizers.prepare_gradients(learning, clip_norm=stage.clip_norm, noise=noise)
            optimizer.step()
            optimizer.zero_grad()
            regularizers.after_step(model, optimizer, 0.01 * (step + 1))
    optimizer.eval_mode()
    return dict(model.named_parameters())


def described(stage, index):
    return {
        "first_step": index * STEPS,
        "hparams": dict(stage.hparams),
        "hand_over": stage.hand_over,
        "clip_norm": stage.clip_norm,
        "regularizers": {one.kind: one.strength for one in stage.regularizers},
        "total_steps": 6,
        "keep_first": False,
        "parameters": {
            member.name: [
                acting_optimizer(stage.optimizer, member.name, member.parameter.ndim),
                group.lr_ratio,
                group.weight_decay,
            ]
            for group in partition_parameters(Tiny(), stage)
            for member in group.members
        },
    }


def by_the_script(stages):
    model, optimizer = Tiny(), None
    for index, stage in enumerate(stages):
        settings = described(stage, index)
        optimizer = stages_script.ScriptOptimizer(model, settings, optimizer)
        for step in range(index * STEPS, (index + 1) * STEPS):
            optimizer.param_groups[0]["lr"] = 0.01 * (step + 1)
            ids, targets = batch(step)
            stages_script.objective(model(ids), targets, settings["regularizers"]).backward()
            optimizer.step()
            model.zero_grad()
    optimizer.show_evaluated()
    return dict(model.named_parameters())


def assert_alike(stages, tolerance):
    searched, written = by_the_search(stages), by_the_script(stages)
    for name, parameter in searched.items():
        difference = (written[name] - parameter).abs().max().item()
        assert difference <= tolerance, (name, difference)


PAIRS = [(one, other) for one in EXACT for other in EXACT if can_carry(one, other)]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_script_carries_what_the_search_carries(first, second):
    assert_alike([full_stage("a", 0.5, first), full_stage("b", 0.5, second, hand_over="carry")], 2e-6)


@pytest.mark.parametrize("second", EXACT)
def test_a_reset_begins_with_an_empty_state(second):
    assert_alike([full_stage("a", 0.5, "adamw"), full_stage("b", 0.5, second, hand_over="reset")], 2e-6)


@pytest.mark.parametrize(("first", "second"), [("muon", "adamw"), ("adamw", "muon"), ("muon", "muon")])
def test_muon_differs_by_its_arithmetic_alone(first, second, monkeypatch):
    """With the search's own Muon in place of torch's nothing is left of the difference."""
    from mbo_search.optim.library import Muon

    monkeypatch.setattr(torch.optim, "Muon", Muon)
    assert_alike([full_stage("a", 0.5, first), full_stage("b", 0.5, second, hand_over="carry")], 2e-6)


@pytest.mark.parametrize("optimizer", ["sf_adamw", "soap", "ademamix"])
def test_other_optimizers_go_on_with_their_own_state(optimizer):
    stages = [full_stage("a", 0.5, optimizer), full_stage("b", 0.5, optimizer, hand_over="carry")]
    assert_alike(stages, 1e-4)


FIELDS = [
    {"regularizers": (Regularizer(kind="l2", strength=0.1),)},
    {"regularizers": (Regularizer(kind="l1", strength=0.1),)},
    {"regularizers": (Regularizer(kind="clip_value", strength=0.01),)},
    {"regularizers": (Regularizer(kind="label_smoothing", strength=0.2),)},
    {"regularizers": (Regularizer(kind="z_loss", strength=0.1),)},
    {"trainable": "mlp"},
    {"layer_decay": 0.5},
    {"groups": {"embeddings": BlockGroup(lr_ratio=0.1, weight_decay=0.0)}},
    {"clip_norm": None, "weight_decay": 0.5},
]


@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_a_script_follows_every_setting(fields):
    assert_alike([full_stage("a", 0.5, "adamw"), full_stage("b", 0.5, "adamw", hand_over="carry", **fields)], 2e-6)


def test_l2_sp_pulls_to_the_weights_before_the_first_stage():
    settings = [described(full_stage(name, 0.5, "sgd_nesterov", clip_norm=None), 0) for name in "ab"]
    for stage in settings:
        stage |= {"keep_first": True, "regularizers": {"l2_sp": 1.0}, "hand_over": "reset"}
    model = Tiny()
    first = model.layers[0].weight.detach().clone()
    optimizer = stages_script.ScriptOptimizer(model, settings[0], None)
    with torch.no_grad():
        model.layers[0].weight.add_(1.0)
    optimizer = stages_script.ScriptOptimizer(model, settings[1], optimizer)
    optimizer.param_groups[0]["lr"] = 0.5
    model.layers[0].weight.grad = torch.zeros_like(first)
    before = model.layers[0].weight.detach().clone()
    optimizer.step()
    assert ((model.layers[0].weight - first).abs() < (before - first).abs()).all()


def test_rows_are_those_of_the_search_over_several_epochs(tmp_path):
    tokens = np.arange(103, dtype=np.uint16)
    np.save(tmp_path / "train.npy", tokens)
    rows = stages_script.Rows(tmp_path, {"context": 8, "block": 12, "seed": 5}, first=2, count=30)
    wanted = TokenStream(tokens, 12, 5).batch(16, 30, 8)
    found = [rows[index] for index in range(len(rows))]
    assert np.array_equal(torch.stack([row["input_ids"] for row in found]).numpy(), wanted.inputs)
    assert np.array_equal(torch.stack([row["labels"] for row in found]).numpy(), wanted.targets)


def test_every_optimizer_that_differs_has_a_remark():
    stages = [full_stage("a", 0.5, "soap"), full_stage("b", 0.5, "adamw", hand_over="carry")]
    said = " ".join(remarks_on(stages, None, 1.0))
    assert "SOAP is that of pytorch_optimizer" in said
    assert "Stage b begins with an empty optimizer state" in said


def test_every_regularizer_that_is_not_expressed_has_a_remark():
    regularizers = tuple(
        Regularizer(kind=kind, strength=0.1) for kind in ("ema", "ema_fold", "gradient_noise", "l2")
    )
    said = " ".join(remarks_on([full_stage("a", 1.0, regularizers=regularizers)], None, 1.0))
    assert said.count("moving average") == 2
    assert "noise" in said
    assert "l2" not in said


def test_nothing_below_the_mark_needs_this_package():
    folder = Path(stages_script.__file__).parent
    for path in folder.glob("*_script.py"):
        assert "mbo_search" not in path.read_text(encoding="utf-8").partition("# --- copied from here on ---")[2]
