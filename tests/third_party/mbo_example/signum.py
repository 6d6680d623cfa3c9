"""The code of Signum."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import torch
from torch.optim import Optimizer

from mbo_search.optim.implementation import Group, Implementation, Settings
from mbo_search.optim.state import Layout


class Signum(Optimizer):
    """Steps along the sign of a running mean of gradients (Bernstein et al. 2018, arXiv:1802.04434)."""

    def __init__(self, groups: list[Group], momentum: float) -> None:
        super().__init__(groups, {"momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    slots = self.state[parameter]
                    if "momentum_buffer" not in slots:
                        slots["momentum_buffer"] = torch.zeros_like(parameter)
                    mean = slots["momentum_buffer"].lerp_(parameter.grad, 1 - group["momentum"])
                    parameter.add_(mean.sign(), alpha=-group["lr"])


def _build(groups: list[Group], settings: Settings) -> Optimizer:
    return Signum(groups, momentum=settings.hparams["momentum"])


IMPLEMENTATION = Implementation(build=_build, layout=Layout(slots=MappingProxyType({"momentum_buffer": "zeros"})))
