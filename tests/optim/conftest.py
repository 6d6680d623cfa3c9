"""A tiny language model, batches for it, and stages with complete settings."""

import json
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F

from mbo_search.model.decoder import build_decoder
from mbo_search.optim.staged import build_optimizer
from mbo_search.optim.state import OptimizerState
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.spec.schedule import Stage
from mbo_search.study.spec.study import ModelSpec

VOCAB, BUDGET_STEPS = 40, 60


@dataclass(frozen=True)
class Lab:
    """What every test here trains with."""

    budget_steps: int = BUDGET_STEPS

    def model(self, *, tied=True, seed=0, width=16, layers=2):
        spec = ModelSpec(layers=layers, width=width, heads=2, context=12, mlp_width=24, tie_embeddings=tied)
        return build_decoder(spec, VOCAB, seed=seed)

    def stage(self, optimizer, **changes):
        info = OPTIMIZERS[optimizer]
        hparams = {name: float(hparam.default) for name, hparam in info.hparams.items()} | changes.pop(
            "hparams", {}
        )
        settings = {"lr": info.reference_lr, "weight_decay": 0.1, "clip_norm": None} | changes
        return Stage(name="stage", share=1.0, optimizer=optimizer, hparams=hparams, **settings)

    def optimizer(self, model, stage):
        return build_optimizer(model, stage, budget_steps=self.budget_steps)

    def tokens(self, step):
        """A noisy walk: the next token is mostly the last one plus three."""
        generator = torch.Generator().manual_seed(step)
        jumps = torch.randint(0, VOCAB, (4, 13), generator=generator)
        regular = torch.rand(4, 13, generator=generator) < 0.9
        return torch.where(regular, torch.tensor(3), jumps).cumsum(1) % VOCAB

    def loss(self, model, step):
        tokens = self.tokens(step)
        return F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())

    def train(self, model, optimizer, steps, lr):
        """Train on the batches of these steps; returns the losses."""
        losses = []
        for step in steps:
            optimizer.set_lr(lr)
            optimizer.zero_grad()
            loss = self.loss(model, step)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    def weights(self, model):
        return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    def saved(self, state):
        """A state as a run directory gives it back: copies that are JSON and plain tensors."""
        tensors = {name: tensor.clone() for name, tensor in state.tensors.items()}
        return OptimizerState(tensors, json.loads(json.dumps(state.numbers, allow_nan=False)))


@pytest.fixture
def lab():
    return Lab()
