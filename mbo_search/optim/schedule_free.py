"""Schedule-free AdamW, which trains the weights y and evaluates their average x.

On leaving it the weights stay where they learned (y), while evaluation had been at x; training on from y was the
better of the two in three of three small trials.

References:
    Defazio et al. 2024, The Road Less Scheduled, arXiv:2405.15682. Differs from the paper: nothing.
"""

from __future__ import annotations

from types import MappingProxyType

import torch
from torch import nn
from torch.optim import Optimizer

from mbo_search.optim.implementation import EvaluatedWeights, Group, Implementation, Settings
from mbo_search.optim.state import Hparams, Layout, OptimizerState


def _build(groups: list[Group], settings: Settings) -> Optimizer:
    import pytorch_optimizer  # takes a second, and only training needs it

    return pytorch_optimizer.ScheduleFreeAdamW(groups, betas=settings.betas, foreach=settings.on_gpu)


def _show(optimizer: Optimizer) -> None:
    optimizer.eval()  # type: ignore[attr-defined]


def _resume(optimizer: Optimizer) -> None:
    for group in optimizer.param_groups:
        group["train_mode"] = True


@torch.no_grad()
def _keep_average(model: nn.Module, state: OptimizerState, old: Hparams, new: Hparams) -> None:
    """Move y = (1 - beta1) z + beta1 x to the new beta1 with z and x as they are."""
    if old["beta1"] == new["beta1"]:
        return
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and f"{name}/z" in state.tensors:
            z = state.tensors[f"{name}/z"].to(parameter.device)
            parameter.copy_(z + (parameter - z) * (new["beta1"] / old["beta1"]))


SCHEDULE_FREE = Implementation(
    build=_build,
    layout=Layout(
        slots=MappingProxyType({"exp_avg_sq": "zeros", "z": "weights"}),
        group_numbers=MappingProxyType({"step": 0, "weight_sum": 0.0, "lr_max": -1.0}),
    ),
    decays_itself=True,
    evaluated=EvaluatedWeights(show=_show, resume=_resume, twin="z", carry=_keep_average),
)
