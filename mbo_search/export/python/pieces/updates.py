"""The optimizers, as the schedule uses them."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytorch_optimizer
import torch
from torch import Tensor
from torch.optim import Optimizer

from mbo_search.export.python.pieces.settings import TOTAL_STEPS


def orthogonalize(matrix: Tensor) -> Tensor:
    """Push the singular values towards one: five quintic Newton-Schulz iterations."""
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x: Tensor = wide / wide.norm().clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.T
        cubic = torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
        x = torch.addmm(x, cubic, x, beta=3.4445)
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class Float32Muon(Optimizer):
    """Muon that iterates in float32 on a CPU, for which bfloat16 is slow."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Step along the orthogonalized momentum, as far as AdamW would."""
        (group,) = self.param_groups
        for p in group["params"]:
            mean = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
            mean.lerp_(p.grad, 1 - group["momentum"])
            ahead = p.grad.lerp(mean, group["momentum"])
            ahead = ahead.bfloat16()  # only: cuda
            length = group["lr"] * 0.2 * math.sqrt(max(p.shape))
            p.add_(orthogonalize(ahead), alpha=-length)


def by_row(matrices: list[Any]) -> list[Any]:
    """Lay matrices out row by row: in another layout products round otherwise."""
    return [matrix.contiguous() if len(matrix) else matrix for matrix in matrices]


class RowSoap(pytorch_optimizer.SOAP):
    """SOAP with bases that lie row by row."""

    # only: to_soap
    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update; a carried mean counts as a gradient before the first one."""
        (group,) = self.param_groups
        waiting = [p for p in group["params"] if set(self.state[p]) == {"exp_avg"}]
        means = {p: self.state.pop(p)["exp_avg"] for p in waiting}
        group["step"] = 0 if means else group["step"]  # a first step measures the basis
        super().step()
        group["step"] = 2 if means else group["step"]
        for p, mean in means.items():
            slots, (beta1, beta2) = self.state[p], group["betas"]
            squares = self.project(mean / (1 - beta1), slots).square()
            slots["exp_avg"].copy_(mean)
            slots["exp_avg_sq"].copy_(squares * (1 - beta2))

    @staticmethod
    def get_orthogonal_matrix(mat: Any) -> list[Any]:
        """Measure the bases."""
        return by_row(pytorch_optimizer.SOAP.get_orthogonal_matrix(mat))

    def get_orthogonal_matrix_qr(self, *arguments: Any) -> list[Any]:
        """Improve the bases by a round of power iteration."""
        return by_row(super().get_orthogonal_matrix_qr(*arguments))


class ClockedAdEMAMix(pytorch_optimizer.AdEMAMix):
    """AdEMAMix whose warm-ups have a clock apart from the bias correction's."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Set the weight and the decay of the slow mean, then update."""
        (group,) = self.param_groups
        group["slow_steps"] = group.get("slow_steps", 0) + 1
        beta1, beta2, last_beta3 = self.defaults["betas"]
        now = (TOTAL_STEPS, group["slow_steps"])
        group["alpha"] = self.schedule_alpha(*now, self.defaults["alpha"])
        beta3 = self.schedule_beta3(*now, beta1, last_beta3)
        group["betas"] = (beta1, beta2, beta3)
        super().step()


OPTIMIZERS: dict[str, Any] = {
    "adam": partial(torch.optim.Adam, fused=True),  # only: adam
    "adamw": partial(torch.optim.AdamW, fused=True),  # only: adamw
    "ademamix": partial(ClockedAdEMAMix, weight_decouple=True),  # only: ademamix
    # only: lion
    "lion": partial(pytorch_optimizer.Lion, weight_decouple=True, foreach=True),
    # only: muon
    "muon": lambda groups, momentum: Float32Muon(groups, {"momentum": momentum}),
    # only: nadamw
    "nadamw": partial(torch.optim.NAdam, decoupled_weight_decay=True, foreach=True),
    "sf_adamw": pytorch_optimizer.ScheduleFreeAdamW,  # only: sf_adamw
    # only: sgd_nesterov
    "sgd_nesterov": partial(torch.optim.SGD, nesterov=True, foreach=True),
    "soap": RowSoap,  # only: soap
}
