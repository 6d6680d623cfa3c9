"""What regularizers do to gradients and weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from mbo_search.export.python.pieces.rates import mean_share
from mbo_search.export.python.pieces.settings import DEVICE, SEED, Stage

FirstWeights = dict[nn.Parameter, Tensor]


def learning(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that learn, all of which have a gradient."""
    return [p for p in model.parameters() if p.requires_grad]


@torch.no_grad()
def change_gradients(
    model: nn.Module, stage: Stage, step: int, first: FirstWeights
) -> None:
    """Change the gradients as the regularizers ask for, in this order."""
    if "l2" in stage:  # only: l2
        for p in (p for p in learning(model) if p.ndim >= 2):
            p.grad.add_(p, alpha=stage["l2"])  # type: ignore[union-attr]
    if "l2_sp" in stage:  # only: l2_sp
        for p in learning(model):  # back towards the first weights
            p.grad.add_(p - first[p], alpha=stage["l2_sp"])  # type: ignore[union-attr]
    if "gradient_noise" in stage:  # only: gradient_noise
        deviation = (stage["gradient_noise"] / (1 + step) ** 0.55) ** 0.5
        generator = torch.Generator().manual_seed(noise_seed(step))
        for p in learning(model):
            noise = torch.randn(p.shape, generator=generator).to(DEVICE)
            p.grad.add_(noise, alpha=deviation)  # type: ignore[union-attr]
    if "clip_value" in stage:  # only: clip_value
        nn.utils.clip_grad_value_(model.parameters(), stage["clip_value"])


def noise_seed(step: int) -> int:
    """A seed of 63 bits from two numbers, by the finalizer of SplitMix64."""
    mixed = (SEED * 0x9E3779B97F4A7C15 + step + 1) % 2**64
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = ((mixed ^ (mixed >> shift)) * factor) % 2**64
    return (mixed ^ (mixed >> 31)) % 2**63


def set_dropout(model: nn.Module, probability: float) -> None:
    """Set every dropout of the model."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability


@torch.no_grad()
def shrink(optimizers: list[Optimizer], threshold: float) -> None:
    """Move matrices towards zero and stop there: the proximal step of an L1 penalty."""
    for optimizer in optimizers:
        for p in (p for p in optimizer.param_groups[0]["params"] if p.ndim >= 2):
            p.copy_(F.softshrink(p, threshold))
            z = optimizer.state[p].get("z")  # only: sf_adamw
            # only: sf_adamw
            if z is not None:  # the second sequence of schedule-free AdamW
                z.copy_(F.softshrink(z, threshold))


class FoldedAverage:
    """A mean of the weights that takes their place where a stage ends."""

    def __init__(self, model: nn.Module, decay: float | None) -> None:
        self.decay = decay
        self.averages = [p.detach().clone() for p in model.parameters()]

    @torch.no_grad()
    def follow(self, model: nn.Module, share: float) -> None:
        """Move a share of the way to the weights after a step."""
        for average, p in zip(self.averages, model.parameters(), strict=True):
            average.lerp_(p.detach(), share)

    @torch.no_grad()
    def fold(self, model: nn.Module, optimizers: list[Optimizer]) -> None:
        """Train on from the average."""
        for average, p in zip(self.averages, model.parameters(), strict=True):
            if p.requires_grad:
                p.copy_(average)
            for optimizer in optimizers:  # only: sf_adamw
                if "z" in optimizer.state.get(p, {}):
                    optimizer.state[p]["z"].copy_(p)


def begin_average(
    model: nn.Module, stage: Stage, average: FoldedAverage | None
) -> FoldedAverage | None:
    """Continue an average with the same decay; else begin one at the weights."""
    if stage["lr"]["shape"] == "average":  # only: average
        return FoldedAverage(model, None)
    decay = stage.get("ema_fold")
    if decay is None or (average is not None and average.decay == decay):
        return None if decay is None else average
    return FoldedAverage(model, decay)


def average_share(stage: Stage, step: int) -> float:
    """How far an average moves to the weights after a step."""
    if stage["lr"]["shape"] == "average":  # only: average
        return mean_share(stage, step)
    return 1.0 - float(stage.get("ema_fold", 1.0))
