"""Means of weights, kept beside a model and evaluated in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mbo_search.model.language_model import LanguageModel


class SegmentMean:
    """The equal mean of a model's weights after each step of a grid segment.

    Of a model that began with trained weights only those that learn are averaged: the others equal their mean.

    References:
        Izmailov et al. 2018, arXiv:1803.05407; Kaddour 2022, arXiv:2209.14981 (latest weights). Differs from the
        papers: the mean is over the steps of one grid segment, and it is measured, never trained from.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._count = 0
        self._parameters = {
            name: parameter
            for name, parameter in model.named_parameters()
            if parameter.requires_grad or not model.spec.starts_trained
        }
        self._means = {name: torch.zeros_like(weight.detach()) for name, weight in self._parameters.items()}

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
    """Give a model other weights within the block, some or all, and its own again afterwards, bit for bit."""
    own = {name: weight.clone() for name, weight in _weights(model).items() if name in weights}
    _put(model, weights)
    try:
        yield
    finally:
        _put(model, own)


@torch.no_grad()
def _put(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    own = _weights(model)
    for name, weight in weights.items():
        own[name].copy_(weight)


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in model.named_parameters()}
