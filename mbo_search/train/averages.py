"""Means of weights, kept beside a model and evaluated in its place."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mbo_search.model.language_model import LanguageModel


class WeightMean:
    """A running mean of a model's weights.

    Of a model that began with trained weights only those that learn are averaged: the others equal their mean.
    """

    def __init__(self, model: LanguageModel, learning: Collection[str]) -> None:
        self._parameters = {
            name: parameter
            for name, parameter in model.named_parameters()
            if name in learning or not model.spec.starts_trained
        }
        self._means = {name: torch.zeros_like(weight.detach()) for name, weight in self._parameters.items()}

    @torch.no_grad()
    def move(self, share: float) -> None:
        """Move the mean a share of the way to the model's weights; 1 begins it there."""
        weights = [parameter.detach() for parameter in self._parameters.values()]
        torch._foreach_lerp_(list(self._means.values()), weights, share)

    def export_state(self) -> dict[str, Tensor]:
        """The means by parameter name; views, so copy or write them before the next update."""
        return dict(self._means)

    def import_means(self, means: Mapping[str, Tensor]) -> None:
        """Take over exported means."""
        assert means.keys() == self._means.keys()
        for name, mean in means.items():
            self._means[name].copy_(mean)


class SegmentMean(WeightMean):
    """The equal mean of a model's weights after each step of a grid segment.

    References:
        Izmailov et al. 2018, arXiv:1803.05407; Kaddour 2022, arXiv:2209.14981 (latest weights). Differs from the
        papers: the mean is over the steps of one grid segment, and it is measured, never trained from.
    """

    def __init__(self, model: LanguageModel) -> None:
        super().__init__(model, {name for name, one in model.named_parameters() if one.requires_grad})
        self._count = 0

    @property
    def count(self) -> int:
        """Steps in the mean."""
        return self._count

    def update(self) -> None:
        """Add the model's weights after a step to the mean."""
        self._count += 1
        self.move(1.0 / self._count)

    def import_state(self, means: Mapping[str, Tensor], count: int) -> None:
        """Take over exported means over so many steps."""
        self.import_means(means)
        self._count = count


class StageMean(WeightMean):
    """The mean of a stage's last weights that imitates a decay, and takes their place where the stage ends.

    References:
        Tian et al. 2025, arXiv:2507.17634. Differs from the paper: every step is merged, in a running mean.
    """

    def __init__(self, model: LanguageModel) -> None:
        super().__init__(model, model.trained)  # blocks that rest at the moment among them


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
