"""Means of weights, kept beside a model and evaluated in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class SegmentMean:
    """The equal mean of a model's weights after each step of a grid segment.

    References:
        Izmailov et al. 2018, arXiv:1803.05407; Kaddour 2022, arXiv:2209.14981 (latest weights). Differs from the
        papers: the mean is over the steps of one grid segment, and it is measured, never trained from.
    """

    def __init__(self, model: nn.Module) -> None:
        self._count = 0
        self._parameters = dict(model.named_parameters())
        self._means = {name: torch.zeros_like(weight) for name, weight in _weights(model).items()}

    @property
    def count(self) -> int:
        """Steps in the mean."""
        return self._count

    @torch.no_grad()
    def update(self) -> None:
        """Add the model's weights after a step to the mean."""
        self._count += 1
        weights = [parameter.detach() for parameter in self._parameters.values()]
        torch._foreach_lerp_(list(self._means.values()), weights, 1.0 / self._count)

    def export_state(self) -> dict[str, Tensor]:
        """The means by parameter name; views, so copy or write them before the next update."""
        return dict(self._means)

    def import_state(self, means: Mapping[str, Tensor], count: int) -> None:
        """Take over exported means over so many steps."""
        assert means.keys() == self._means.keys()
        self._count = count
        for name, mean in means.items():
            self._means[name].copy_(mean)


@contextmanager
def weights_in_place(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Give a model other weights within the block, and its own again afterwards, bit for bit."""
    own = {name: weight.clone() for name, weight in _weights(model).items()}
    _put(model, weights)
    try:
        yield
    finally:
        _put(model, own)


@torch.no_grad()
def _put(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    for name, weight in _weights(model).items():
        weight.copy_(weights[name])


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in model.named_parameters()}
