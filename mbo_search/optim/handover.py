"""Hand-over of the optimizer's state to a new stage: `carry` follows the table, `reset` starts afresh.

State travels by parameter name, never by position, because optimizers group parameters differently. Moments travel
with their step count. A first moment that comes without a second one counts as the first gradient that the new
optimizer sees, in both moments and in the count; put beside an empty second moment, it made the first steps six to
fourteen times as large as those of a fresh optimizer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from mbo_search.errors import Problem, StudyError
from mbo_search.optim.groups import acting_optimizer
from mbo_search.optim.implementation import implementation_of
from mbo_search.optim.staged import StageOptimizer, build_optimizer
from mbo_search.optim.state import Hparams, OptimizerState, Start
from mbo_search.study.catalogue.hand_over import Conversion, HandOverRow, hand_over_row
from mbo_search.study.spec.schedule import HandOver, Stage


def hand_over(
    state: OptimizerState, *, model: nn.Module, previous: Stage, stage: Stage, mode: HandOver, budget_steps: int
) -> StageOptimizer:
    """Build the optimizer of a stage from the state that the stage before it left.

    Args:
        state: What the previous stage's optimizer exported in training mode; it is copied, never changed.
        model: The model with the weights that the previous stage left in training mode. With a new beta1 for
            schedule-free AdamW its weights y are moved to keep the average x where it is; else they stay.
        previous: The stage that ended.
        stage: The stage that begins.
        mode: `carry` or `reset`.
        budget_steps: Optimizer steps of the whole schedule.

    Returns:
        The optimizer; parameters that did not learn in the previous stage begin afresh.

    Raises:
        StudyError: If nothing can be carried between the two optimizers.
    """
    optimizer = build_optimizer(model, stage, budget_steps=budget_steps)
    if mode == "carry":
        if hand_over_row(previous.optimizer, stage.optimizer) is None:
            rule = f"cannot carry state from {previous.optimizer} to {stage.optimizer}"
            raise StudyError([Problem(key=f"stages.{stage.name}.hand_over", rule=rule, hint="use reset")])
        optimizer.import_state(_converted(state, model, previous, stage))
        evaluated = implementation_of(stage.optimizer).evaluated
        if evaluated is not None and previous.optimizer == stage.optimizer:
            evaluated.carry(model, state, previous.hparams, stage.hparams)
    return optimizer


def _converted(state: OptimizerState, model: nn.Module, previous: Stage, stage: Stage) -> OptimizerState:
    carried = OptimizerState()
    known = {key.rsplit("/", 1)[0] for key in (*state.tensors, *state.numbers)}
    for name, parameter in model.named_parameters():
        if name in known and parameter.requires_grad:
            source = acting_optimizer(previous.optimizer, name, parameter.ndim)
            target = acting_optimizer(stage.optimizer, name, parameter.ndim)
            row = hand_over_row(source, target)
            assert row is not None, (source, target)
            _carry(_of_parameter(state, name), name, row, _Change(target, parameter, previous, stage), carried)
    return carried


def _of_parameter(state: OptimizerState, name: str) -> OptimizerState:
    """The slots of one parameter, by slot."""
    prefix = f"{name}/"
    return OptimizerState(
        {key.removeprefix(prefix): value for key, value in state.tensors.items() if key.startswith(prefix)},
        {key.removeprefix(prefix): value for key, value in state.numbers.items() if key.startswith(prefix)},
    )


class _Change:
    """One parameter's way from one optimizer to the other."""

    def __init__(self, target: str, parameter: Tensor, previous: Stage, stage: Stage) -> None:
        self.layout = implementation_of(target).layout
        self.parameter = parameter
        self.old: Hparams = previous.hparams
        self.new: Hparams = stage.hparams


def _carry(slots: OptimizerState, name: str, row: HandOverRow, change: _Change, carried: OptimizerState) -> None:
    """Put into `carried` what a row carries of one parameter, completed by what the target needs beside it."""
    if row.everything:
        carried.tensors.update({f"{name}/{slot}": tensor for slot, tensor in slots.tensors.items()})
        kept = {slot: number for slot, number in slots.numbers.items() if slot not in change.layout.decay_products}
        carried.numbers.update({f"{name}/{slot}": number for slot, number in kept.items()})
        return
    tensors = {
        slot.target: converted
        for slot in row.carried
        if slot.source in slots.tensors
        if (converted := _CONVERSIONS[slot.conversion](slots.tensors[slot.source], change.old, change.new))
        is not None
    }
    if not tensors:
        return
    step = int(slots.numbers["step"]) if any(slot.target == "step" for slot in row.carried) else 0
    if any(slot.conversion in ("mean_to_gradient", "sum_to_gradient") for slot in row.carried):
        tensors, step = _as_first_gradient(tensors["exp_avg"], change)
    carried.tensors.update({f"{name}/{slot}": tensor for slot, tensor in tensors.items()})
    for slot, start in change.layout.slots.items():
        if slot not in tensors and start != "library":
            carried.tensors[f"{name}/{slot}"] = _start(start, change, step)
    if change.layout.counts_steps:
        carried.numbers[f"{name}/step"] = step


def _as_first_gradient(gradient: Tensor, change: _Change) -> tuple[dict[str, Tensor], int]:
    """The moments of an Adam-like optimizer after one gradient, and their step count."""
    first = gradient * (1 - change.new["beta1"])
    if change.layout.slots["exp_avg_sq"] == "library":
        return {"exp_avg": first}, 1
    return {"exp_avg": first, "exp_avg_sq": gradient.square() * (1 - change.new["beta2"])}, 1


def _mean_along(dimension: int) -> Callable[[Tensor, Hparams, Hparams], Tensor | None]:
    return lambda tensor, old, new: tensor.mean(dimension, keepdim=True) if tensor.ndim > 1 else None


_CONVERSIONS: Mapping[Conversion, Callable[[Tensor, Hparams, Hparams], Tensor | None]] = MappingProxyType(
    {
        "copy": lambda tensor, old, new: tensor,
        "mean_to_sum": lambda tensor, old, new: tensor / (1 - new["momentum"]),
        "mean_to_gradient": lambda tensor, old, new: tensor,
        "sum_to_gradient": lambda tensor, old, new: tensor * (1 - old["momentum"]),
        "row_means": _mean_along(-1),
        "column_means": _mean_along(-2),
        "of_vectors": lambda tensor, old, new: tensor if tensor.ndim < 2 else None,
    }
)


def _start(start: Start, change: _Change, step: int) -> Tensor:
    if callable(start):
        return start(change.parameter, change.new, step)
    return torch.zeros_like(change.parameter) if start == "zeros" else change.parameter.detach()
