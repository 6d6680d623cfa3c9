"""The code side of an optimizer: how it is built, where it keeps its state, and which weights it evaluates."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from mbo_search.errors import Problem, UserError
from mbo_search.extensions import resolve
from mbo_search.optim.state import Hparams, Layout, OptimizerState
from mbo_search.study.catalogue.entries import OptimizerDefinition
from mbo_search.study.catalogue.optimizers import OPTIMIZERS

Group = dict[str, Any]
"""A group of parameters, as torch.optim takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that an optimizer is built from besides its parameters.

    Attributes:
        hparams: Its settings by the names of its definition, complete.
        budget_steps: Optimizer steps of the whole schedule.
        on_gpu: Whether the parameters lie on a GPU.
    """

    hparams: Mapping[str, float]
    budget_steps: int
    on_gpu: bool

    @property
    def betas(self) -> tuple[float, float]:
        """The decays of both moments."""
        return self.hparams["beta1"], self.hparams["beta2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedWeights:
    """Functions by which an optimizer that evaluates other weights than it trains switches between them.

    Attributes:
        show: Put the evaluated weights in place of those that learn.
        resume: Note that the weights that learn are back in place.
        twin: Slot that holds a second sequence of weights, on which regularizers of the weights act as well.
        carry: Adjust the weights of a model when the same optimizer continues with other settings: (model, state,
            old settings, new settings).
    """

    show: Callable[[Optimizer], None]
    resume: Callable[[Optimizer], None]
    twin: str
    carry: Callable[[nn.Module, OptimizerState, Hparams, Hparams], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Implementation:
    """One class of optimizers.

    Attributes:
        build: From groups that carry their lr and weight decay.
        layout: Where it keeps its state.
        decays_itself: Whether it applies the groups' weight decay within its own update.
        step_on_gpu: Whether it keeps step counts beside the parameters.
        evaluated: Where it evaluates other weights than it trains.
        set_hparams: Gives a group other values of its settings, for those that may change within a stage; it gets
            all settings of the stage's optimizer.
    """

    build: Callable[[list[Group], Settings], Optimizer]
    layout: Layout
    decays_itself: bool = False
    step_on_gpu: bool = False
    evaluated: EvaluatedWeights | None = None
    set_hparams: Callable[[Group, Hparams], None] | None = None


def implementation_of(optimizer: str) -> Implementation:
    """Import the code of an optimizer.

    Raises:
        UserError: If its reference leads nowhere.
    """
    return _implementation(OPTIMIZERS[optimizer])


def evaluates_a_mean(optimizer: str) -> bool:
    """Return whether an optimizer evaluates a mean of the weights instead of those that it trains."""
    return implementation_of(optimizer).evaluated is not None


def _implementation(definition: OptimizerDefinition) -> Implementation:
    named = definition.implementation
    found = _imported(named) if isinstance(named, str) else named
    if not isinstance(found, Implementation):
        rule = f"has an implementation that is not an Implementation but {found!r}"
        raise UserError([Problem(key=f"optimizer {definition.name}", rule=rule)])
    return found


@functools.cache
def _imported(reference: str) -> object:
    return resolve(reference)


def twins(optimizer: Optimizer, evaluated: EvaluatedWeights, parameters: list[nn.Parameter]) -> list[Tensor]:
    """Return the second sequence of weights of these parameters, as far as it exists."""
    slots = [optimizer.state[parameter] for parameter in parameters if parameter in optimizer.state]
    return [slot[evaluated.twin] for slot in slots if evaluated.twin in slot]
