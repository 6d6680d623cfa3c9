"""Moments whose decays change from step to step.

Adam divides a moment by 1 - decay ** step: the weight that zero, with which the moment began, still has in it is
the product of the decays of all steps, and the library takes it for the power of the last one. With a decay that
rises to 0.9999 after a thousand steps, that makes a mean ten times too large. So from the first step on whose decay
is not the stage's, the products themselves are kept, and learning rate and epsilon of a step are scaled so that the
library's own correction comes out as the right one.

Until then nothing is kept and nothing scaled, so that stages meet those without a shape bit for bit. A stage that
takes its moments over from another one begins with the power of its own decay, as the library has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch.optim import Optimizer

from mbo_search.optim.implementation import Group
from mbo_search.optim.state import Hparams, Layout, OptimizerState

_STEPS = "moment_steps"
"""Key of a library's group: steps that its moments have seen."""


def has_products(optimizer: Optimizer) -> bool:
    """Return whether the products of the decays are kept."""
    return any(_STEPS in group for group in optimizer.param_groups)


def with_products(state: OptimizerState, layout: Layout, names: list[str], hparams: Hparams) -> OptimizerState:
    """Add the products so far, with one decay for all steps."""
    products = {
        f"{name}/{product}": hparams[decay] ** int(state.numbers.get(f"{name}/step", 0))
        for name in names
        for decay, product in zip(layout.moment_decays, layout.decay_products, strict=True)
    }
    return OptimizerState(state.tensors, {**state.numbers, **products})


def products_of(state: OptimizerState, layout: Layout, name: str) -> Group:
    """Make entries of a library's group that holds a parameter; none where no products are kept of it."""
    numbers = {product: state.numbers.get(f"{name}/{product}") for product in layout.decay_products}
    if not numbers or None in numbers.values():
        return {}
    return {**numbers, _STEPS: int(state.numbers.get(f"{name}/step", 0))}


@contextmanager
def unbiased(optimizer: Optimizer, layout: Layout, hparams: Hparams) -> Iterator[None]:
    """Let one step of a library correct the bias of its moments by the products, where they are kept."""
    changed = [(group, group["lr"], group["eps"]) for group in optimizer.param_groups if _STEPS in group]
    for group, lr, eps in changed:
        mean, square = _corrections(group, layout, hparams)
        group["lr"], group["eps"] = lr * square**0.5 / mean, eps * square**0.5
    yield
    for group, lr, eps in changed:
        group["lr"], group["eps"] = lr, eps


def _corrections(group: Group, layout: Layout, hparams: Mapping[str, float]) -> tuple[float, float]:
    """Count a step, and return what the products say over what the library will, for mean and mean square."""
    group[_STEPS] += 1
    found = {"beta1": 1.0, "beta2": 1.0}
    for decay, product in zip(layout.moment_decays, layout.decay_products, strict=True):
        group[product] *= hparams[decay]
        found[decay] = (1.0 - group[product]) / (1.0 - hparams[decay] ** group[_STEPS])
    return found["beta1"], found["beta2"]
