"""An optimizer's state as flat, named values, independent of how a library groups parameters.

Everything is keyed by `"<parameter name>/<slot>"`: tensors by themselves, counts and other numbers as JSON numbers.
Whatever a library keeps per group of parameters (pytorch-optimizer its step count) is written per parameter, and
groups are formed again from equal numbers when the state is read. So parameters that begin to learn late keep a
clock of their own, and a state survives any change of the groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

Number = int | float | bool

Hparams = Mapping[str, float]
"""Settings of an optimizer by name."""

Start = Literal["zeros", "weights", "library"] | Callable[[Tensor, Hparams, int], Tensor]
"""Content of a slot into which nothing was carried: zeros, a copy of the weights, whatever the library puts there
at its first step, or a function of the parameter, the new settings and the carried step count."""


@dataclass(frozen=True, slots=True)
class OptimizerState:
    """Everything that an optimizer needs to continue, bit for bit.

    Attributes:
        tensors: By `"<parameter name>/<slot>"`; views of the live state: copy them before the next step.
        numbers: By `"<parameter name>/<slot>"`; plain JSON numbers.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    numbers: dict[str, Number] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where an optimizer class keeps its state.

    Attributes:
        slots: Tensors of each parameter, and what they start with.
        lists: Slots that hold one matrix per dimension of the parameter, or an empty list for a dimension.
        has_step: Whether each parameter has a `step` tensor of its own.
        group_numbers: Numbers that a group of parameters shares, and what they start with.
        moment_decays: Settings `beta1` and `beta2` that decay moments whose bias the class divides out as
            1 - decay ** step.
    """

    slots: Mapping[str, Start]
    lists: tuple[str, ...] = ()
    has_step: bool = False
    group_numbers: Mapping[str, Number] = field(default_factory=lambda: MappingProxyType({}))
    moment_decays: tuple[str, ...] = ()

    @property
    def counts_steps(self) -> bool:
        """True if the state holds a step count at all."""
        return self.has_step or "step" in self.group_numbers

    @property
    def decay_products(self) -> tuple[str, ...]:
        """Numbers of a parameter once a decay has changed within a stage: the products of all decays so far."""
        return tuple(f"{decay}_product" for decay in self.moment_decays)


def read_slots(name: str, slots: Mapping[str, Any], layout: Layout) -> OptimizerState:
    """Name the state of one parameter.

    Args:
        name: The parameter's name.
        slots: What the library keeps for it; empty before its first step.
        layout: Where the library keeps what.
    """
    state = OptimizerState()
    for slot in layout.slots:
        if slots.get(slot) is not None:
            state.tensors[f"{name}/{slot}"] = slots[slot].detach()
    for slot in layout.lists:
        for dimension, matrix in enumerate(slots.get(slot, ())):
            if len(matrix):
                state.tensors[f"{name}/{slot}.{dimension}"] = matrix.detach()
    if layout.has_step:
        state.numbers[f"{name}/step"] = int(slots["step"].item()) if "step" in slots else 0
    return state


def restore_slots(
    name: str, parameter: Tensor, state: OptimizerState, layout: Layout, step_device: torch.device
) -> dict[str, Any]:
    """Rebuild what a library keeps for one parameter, in memory of its own.

    Args:
        name: The parameter's name.
        parameter: The parameter.
        state: The named state.
        layout: Where the library keeps what.
        step_device: Where the library keeps step counts.

    Returns:
        The library's slots; empty if the state knows nothing of the parameter.
    """
    slots: dict[str, Any] = {
        slot: _copy(state.tensors[f"{name}/{slot}"], parameter)
        for slot in layout.slots
        if f"{name}/{slot}" in state.tensors
    }
    for slot in layout.lists:
        matrices = [state.tensors.get(f"{name}/{slot}.{dimension}") for dimension in range(parameter.ndim)]
        if any(matrix is not None for matrix in matrices):
            slots[slot] = [[] if matrix is None else _copy(matrix, parameter) for matrix in matrices]
    if layout.has_step and slots:
        step = float(state.numbers[f"{name}/step"])
        slots["step"] = torch.tensor(step, dtype=torch.float32, device=step_device)
    return slots


def known_keys(names: Iterable[str], layout: Layout) -> frozenset[str]:
    """Every key that the state of these parameters may have, matrices of two dimensions included."""
    slots = [*layout.slots, *layout.group_numbers, *(["step"] if layout.has_step else []), *layout.decay_products]
    slots += [f"{slot}.{dimension}" for slot in layout.lists for dimension in range(2)]
    return frozenset(f"{name}/{slot}" for name in names for slot in slots)


def _copy(tensor: Tensor, parameter: Tensor) -> Tensor:
    """Copy to aligned, contiguous memory: the same numbers laid out otherwise may round otherwise."""
    device = parameter.device if tensor.ndim else torch.device("cpu")
    copied = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
    return copied.copy_(tensor)
