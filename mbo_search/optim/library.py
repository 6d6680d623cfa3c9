"""Optimizers of the libraries with a gap closed each; the mathematics stays that of the papers.

Muon      torch.optim.Muon iterates in bfloat16, which a CPU without that arithmetic emulates about twenty
          times slower than float32. Ours iterates in float32 on a CPU and in bfloat16 elsewhere.
MuonH     torch.optim has no Muon that keeps the norms of the weights.
Soap      pytorch_optimizer.SOAP keeps its bases column by column, so a base read from a file (row by row) would
          multiply in another order and round otherwise. Ours keeps them row by row. It also accepts a first
          moment that another optimizer left.
AdEMAMix  pytorch_optimizer.AdEMAMix runs its two warm-ups on the step count that also corrects the bias of the
          moments. Ours has a clock for each, so that carried moments keep their steps while the warm-ups begin.
"""

from __future__ import annotations

import math
from typing import Any

import pytorch_optimizer
import torch
from torch import Tensor

ORTHOGONALIZE_STEPS = 5
_A, _B, _C = 3.4445, -4.7750, 2.0315
_TINY = 1.0e-7

_STEPS_AFTER_CARRIED = 2
"""SOAP's count when the basis is measured: one step for that, and one for the carried gradient in the moments."""


def orthogonalize(matrix: Tensor) -> Tensor:
    """Push the singular values of a matrix towards one, keeping its singular vectors.

    Five quintic Newton-Schulz iterations; singular values end up in about [0.7, 1.2].

    Args:
        matrix: [m, n], of any scale.

    Returns:
        [m, n] in the same type.

    References:
        Jordan et al. 2024, kellerjordan.github.io/posts/muon. Differs from the paper: works in the type that it is
        given.
    """
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x: Tensor = wide / wide.norm().clamp(min=_TINY)
    for _ in range(ORTHOGONALIZE_STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class Muon(torch.optim.Muon):
    """Momentum, orthogonalized; steps have the root mean square of AdamW's.

    References:
        Jordan et al. 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025, Muon is Scalable for LLM Training,
        arXiv:2502.16982 (the factor 0.2 * sqrt(max(m, n))). Differs from the paper: momentum is a running mean, as
        in torch, not a sum, which orthogonalization cannot tell apart.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update every parameter that has a gradient; no closure is supported."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        direction = self._direction(parameter, grad, group)
        parameter.add_(direction, alpha=-group["lr"] * 0.2 * math.sqrt(max(parameter.shape)))

    def _direction(self, parameter: Tensor, grad: Tensor, group: dict[str, Any]) -> Tensor:
        """Add a gradient to the momentum, and orthogonalize that with a look ahead."""
        slots = self.state[parameter]
        if "momentum_buffer" not in slots:
            slots["momentum_buffer"] = torch.zeros_like(parameter)
        momentum = slots["momentum_buffer"].lerp_(grad, 1 - group["momentum"])
        ahead = grad.lerp(momentum, group["momentum"])
        return orthogonalize(ahead if parameter.device.type == "cpu" else ahead.bfloat16())


class MuonH(Muon):
    """Muon on a sphere: a step of lr times a matrix's norm along the direction, then back to that norm.

    The norm is the Frobenius norm that the matrix has before the step, so all steps keep the first one.

    References:
        Wen et al. 2026, Fantastic Pretraining Optimizers and Where to Find Them II: Hyperball Optimization,
        arXiv:2606.16899. Differs from the paper: the norm is read off the weights and not kept beside them, so that
        a stage goes on from whatever norms it finds.
    """

    def _update(self, parameter: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        direction = self._direction(parameter, grad, group).to(parameter.dtype)
        radius, length = parameter.norm(), direction.norm()
        if group["lr"] == 0 or radius == 0 or length == 0:
            return
        parameter.add_(direction * (radius / length), alpha=-group["lr"])
        parameter.mul_(radius / parameter.norm())


class Soap(pytorch_optimizer.SOAP):
    """Adam in the eigenbasis of Shampoo's statistics.

    The first step of a parameter only measures the basis: nothing moves. A first moment that another optimizer left
    counts as the gradient before it, in both moments and, once there is a basis, in their count; left out of
    the count, it made the corrections of bias too large by up to the square root of two.

    References:
        Vyas et al. 2024, arXiv:2409.11321. Differs from the paper: nothing, unless a first moment was carried.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update every parameter that has a gradient; no closure is supported."""
        assert closure is None
        starting = [group for group in self.param_groups if self._carried(group)]
        for group in starting:
            group["step"] = 0  # the library's first step, which measures the basis
        super().step()
        for group in starting:
            group["step"] = _STEPS_AFTER_CARRIED

    def _carried(self, group: dict[str, Any]) -> dict[Tensor, Tensor]:
        """First moments that wait for a basis, by parameter; all members of a group wait, or none does."""
        slots = {
            parameter: self.state.get(parameter, {}) for parameter in group["params"] if parameter.grad is not None
        }
        return {parameter: found["exp_avg"] for parameter, found in slots.items() if set(found) == {"exp_avg"}}

    def init_group(self, group: dict[str, Any], **kwargs: Any) -> None:
        """Prepare the state of parameters that have none; a carried first moment stays."""
        carried = self._carried(group)
        for parameter in carried:
            del self.state[parameter]
        super().init_group(group)
        for parameter in group["params"]:
            if parameter in self.state:
                self.state[parameter]["precondition_frequency"] = group["precondition_frequency"]
                self.state[parameter]["shampoo_beta"] = group["shampoo_beta"]
        for parameter, exp_avg in carried.items():
            self._count_as_first_gradient(self.state[parameter], exp_avg, group["betas"])

    def _count_as_first_gradient(self, slots: dict[str, Any], exp_avg: Tensor, betas: tuple[float, float]) -> None:
        """Set both moments as after one gradient; the second one lives in the basis that was just measured."""
        gradient = exp_avg / (1 - betas[0])
        slots["exp_avg"].copy_(exp_avg)
        slots["exp_avg_sq"].copy_(self.project(gradient, slots).square() * (1 - betas[1]))

    @staticmethod
    def get_orthogonal_matrix(mat: Any) -> list[Any]:
        """Eigenbases of the statistics, row by row."""
        return _row_by_row(pytorch_optimizer.SOAP.get_orthogonal_matrix(mat))

    def get_orthogonal_matrix_qr(
        self, state: Any, max_precondition_dim: int = 10000, merge_dims: bool = False
    ) -> list[Any]:
        """Bases after one round of power iteration, row by row."""
        return _row_by_row(super().get_orthogonal_matrix_qr(state, max_precondition_dim, merge_dims))


def _row_by_row(matrices: list[Any]) -> list[Any]:
    return [matrix.contiguous() if len(matrix) else matrix for matrix in matrices]


class AdEMAMix(pytorch_optimizer.AdEMAMix):
    """AdamW with a second, slow mean, whose warm-ups run on their own clock.

    Groups carry `slow_steps` (steps since the slow mean began), `warmup_steps`, `final_alpha` and `final_beta3`.

    References:
        Pagliardini, Ablin & Grangier 2024, arXiv:2409.03137, algorithm 1. Differs from the paper: nothing, unless
        the moments were carried from another optimizer.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update every parameter that has a gradient; no closure is supported."""
        assert closure is None
        for group in self.param_groups:
            group["slow_steps"] += 1
            beta1, beta2, _ = group["betas"]
            clock = (group["warmup_steps"], group["slow_steps"])
            group["alpha"] = self.schedule_alpha(*clock, group["final_alpha"])
            group["betas"] = (beta1, beta2, self.schedule_beta3(*clock, beta1, group["final_beta3"]))
        super().step()
