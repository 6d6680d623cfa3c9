"""A tiny language model, batches for it, and stages with complete settings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mbo_search.model.decoder import Decoder, build_decoder
from mbo_search.optim.staged import StageOptimizer, build_optimizer
from mbo_search.optim.state import OptimizerState
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.spec.schedule import Stage
from mbo_search.study.spec.sections.model import ModelSpec

VOCAB = 40
BUDGET_STEPS = 60

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Lab:
    """Model, batches and stages that the suites train with."""

    budget_steps = BUDGET_STEPS

    def model(self, *, tied: bool = True, seed: int = 0, width: int = 16, layers: int = 2) -> Decoder:
        """Build a decoder of a few thousand parameters."""
        spec = ModelSpec(layers=layers, width=width, heads=2, context=12, mlp_width=24, tie_embeddings=tied)
        return build_decoder(spec, VOCAB, seed=seed)

    def stage(
        self, optimizer: str, settings: Mapping[str, Any] = _NOTHING, *, hparams: Mapping[str, float] = _NOTHING
    ) -> Stage:
        """Make a stage with the optimizer's default settings and some changes."""
        info = OPTIMIZERS[optimizer]
        complete = {name: float(hparam.default) for name, hparam in info.hparams.items()} | dict(hparams)
        own = {"name": "stage", "share": 1.0, "optimizer": optimizer, "hparams": complete}
        strategy = {"lr": info.reference_lr, "weight_decay": 0.1, "clip_norm": None, **settings}
        return Stage.model_validate(own | strategy)

    def optimizer(self, model: nn.Module, stage: Stage) -> StageOptimizer:
        """Build the optimizer of a stage."""
        return build_optimizer(model, stage, budget_steps=self.budget_steps)

    def tokens(self, step: int) -> Tensor:
        """Make a noisy walk: the next token is mostly the last one plus three."""
        generator = torch.Generator().manual_seed(step)
        jumps = torch.randint(0, VOCAB, (4, 13), generator=generator)
        regular = torch.rand(4, 13, generator=generator) < 0.9
        return torch.where(regular, torch.tensor(3), jumps).cumsum(1) % VOCAB

    def loss(self, model: nn.Module, step: int) -> Tensor:
        """Compute the loss of a batch."""
        tokens = self.tokens(step)
        return F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())

    def train(self, model: nn.Module, optimizer: StageOptimizer, steps: Iterable[int], lr: float) -> list[float]:
        """Train on the batches of these steps; return the losses."""
        losses = []
        for step in steps:
            optimizer.set_lr(lr)
            optimizer.zero_grad()
            loss = self.loss(model, step)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.item())
        return losses

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        """Copy the weights."""
        return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    def saved(self, state: OptimizerState) -> OptimizerState:
        """Copy a state as a run directory gives it back: plain tensors and JSON."""
        tensors = {name: tensor.clone() for name, tensor in state.tensors.items()}
        return OptimizerState(tensors, json.loads(json.dumps(state.numbers, allow_nan=False)))


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor], what: str) -> None:
    """Assert that tensors are equal, bit for bit."""
    assert found.keys() == expected.keys(), what
    different = [name for name, tensor in found.items() if not torch.equal(tensor, expected[name])]
    assert not different, f"{what}: {', '.join(different[:5])}"
