"""The optimizer of one stage, with one interface for all of the catalogue.

The training loop sets the learning rate before every step and calls `step`; which library it uses, in how
many parts, and where its state lies is settled here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mbo_search.model.blocks import set_trainable
from mbo_search.optim.changing_decays import has_products, products_of, unbiased, with_products
from mbo_search.optim.groups import Member, ParamGroup, partition_parameters
from mbo_search.optim.implementation import EvaluatedWeights, Group, Settings, twins
from mbo_search.optim.state import Hparams, OptimizerState, known_keys, read_slots, restore_slots
from mbo_search.study.spec.schedule import Stage


def build_optimizer(model: nn.Module, stage: Stage, *, budget_steps: int) -> StageOptimizer:
    """Build the optimizer of a stage with a fresh state, and let exactly the stage's parameters learn.

    Args:
        model: The model, on the device where it trains; `requires_grad` is set by the stage's `trainable`.
        stage: The stage; its `hparams` are complete.
        budget_steps: Optimizer steps of the whole schedule, for optimizers with warm-ups of their own.

    Raises:
        StudyError: If the stage names blocks that the model does not have.
    """
    param_groups = partition_parameters(model, stage)
    names = frozenset(member.name for param_group in param_groups for member in param_group.members)
    set_trainable(model, names)
    on_gpu = param_groups[0].members[0].parameter.device.type == "cuda"
    settings = Settings(hparams=stage.hparams, budget_steps=budget_steps, on_gpu=on_gpu)
    return StageOptimizer(param_groups, settings)


@dataclass(frozen=True, slots=True)
class _Part:
    param_group: ParamGroup
    optimizer: Optimizer


class StageOptimizer:
    """Updates the parameters that a stage trains. Built by `build_optimizer` and `hand_over`."""

    def __init__(self, param_groups: tuple[ParamGroup, ...], settings: Settings) -> None:
        self._param_groups = param_groups
        self._settings = settings
        self._hparams = settings.hparams
        self._decay_factor = 1.0
        self._lr: float | None = None
        self._learning: tuple[int, ...] | None = None
        self._training_weights: dict[Tensor, Tensor] | None = None
        self._parts = self._build(OptimizerState())

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of the next steps.

        Args:
            lr: That of the stage; every group of parameters gets it times its `lr_ratio`.
        """
        self._lr = lr
        for part in self._parts:
            for group in part.optimizer.param_groups:
                group["lr"] = lr * part.param_group.lr_ratio

    def set_hparams(self, hparams: Hparams, *, decay_factor: float = 1.0) -> None:
        """Set the other settings of the next steps.

        Args:
            hparams: All settings of the stage's optimizer; those that may not change are the stage's.
            decay_factor: Factor of every weight decay.
        """
        self._keep_products(hparams)
        self._hparams, self._decay_factor = hparams, decay_factor
        for part in self._parts:
            implementation = part.param_group.implementation
            for group in part.optimizer.param_groups:
                if implementation.set_hparams is not None:
                    implementation.set_hparams(group, hparams)
                if group["weight_decay"]:
                    group["weight_decay"] = part.param_group.weight_decay * decay_factor

    def set_learning(self, blocks: tuple[int, ...] | None) -> None:
        """Let these blocks of the stage's `cycle` learn in the next steps, and the others rest.

        What rests has no gradient, does not decay, and its state and step count stay as they are.

        Args:
            blocks: Their positions; None: all that the stage trains learns.
        """
        if blocks != self._learning:
            self._learning = blocks
            for param_group in self._param_groups:
                learns = param_group.learns(blocks)
                for member in param_group.members:
                    member.parameter.requires_grad_(learns)

    def step(self) -> None:
        """Shrink the weights by the weight decay, then update them from their gradients, which it may overwrite."""
        assert self._lr is not None, "set_lr comes before the first step after building or importing"
        assert self._training_weights is None, "train_mode comes before a step"
        for part in self._learning_parts():
            lr = self._lr * part.param_group.lr_ratio
            assert all(group["lr"] == lr for group in part.optimizer.param_groups)
            self._decay(part.param_group, lr)
            with unbiased(part.optimizer, part.param_group.implementation.layout, self._hparams):
                part.optimizer.step()

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for member in self._members():
            member.parameter.grad = None

    def eval_mode(self) -> None:
        """Put the weights in place that are evaluated and exported: for schedule-free the average x.

        The weights y that learn are kept aside, so that evaluating never changes what is trained, not by a bit.
        """
        if self._training_weights is None:
            self._training_weights = {}
            for optimizer, evaluated in self._with_evaluated_weights():
                weights = [parameter for group in optimizer.param_groups for parameter in group["params"]]
                self._training_weights |= {parameter: parameter.detach().clone() for parameter in weights}
                evaluated.show(optimizer)

    def train_mode(self) -> None:
        """Put back the weights that learn: for schedule-free the sequence y."""
        if self._training_weights is not None:
            for parameter, weights in self._training_weights.items():
                parameter.data.copy_(weights)
            for optimizer, evaluated in self._with_evaluated_weights():
                evaluated.resume(optimizer)
            self._training_weights = None

    def split(self) -> Mapping[str, tuple[str, ...]]:
        """Parameter names by part: `all`, or `matrices` and `rest`; every trainable parameter exactly once."""
        found: dict[str, tuple[str, ...]] = {}
        for group in self._param_groups:
            found[group.part] = (*found.get(group.part, ()), *(member.name for member in group.members))
        return found

    def decayed_weights(self) -> list[Tensor]:
        """The matrices that learn, on which regularizers of the weights act; for schedule-free both y and z."""
        parts = self._learning_parts()
        members = [member for part in parts for member in part.param_group.members if member.decays]
        weights = [member.parameter.detach() for member in members]
        for optimizer, evaluated in self._with_evaluated_weights():
            weights += twins(optimizer, evaluated, [member.parameter for member in members])
        return weights

    def replace_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from other weights, given by parameter name; for schedule-free z begins at them too."""
        for member in self._members():
            member.parameter.detach().copy_(weights[member.name])
        for optimizer, evaluated in self._with_evaluated_weights():
            for parameter, slots in optimizer.state.items():
                if evaluated.twin in slots:
                    slots[evaluated.twin].copy_(parameter.detach())

    def export_state(self) -> OptimizerState:
        """Everything that is needed to continue bit for bit, besides the weights and the learning rate.

        For schedule-free the weights that belong to it are those of `train_mode`.
        """
        assert self._training_weights is None, "the state belongs to the weights of train_mode"
        exported = OptimizerState()
        for part in self._parts:
            for state in _read(part):
                exported.tensors.update(state.tensors)
                exported.numbers.update(state.numbers)
        return exported

    def import_state(self, state: OptimizerState) -> None:
        """Take over a state that an optimizer with the same parameters and settings exported.

        Parameters that the state does not know begin afresh. The learning rate has to be set again.
        """
        names_by_layout = [(one.implementation.layout, [m.name for m in one.members]) for one in self._param_groups]
        known = frozenset().union(*(known_keys(names, layout) for layout, names in names_by_layout))
        unknown = (state.tensors.keys() | state.numbers.keys()) - known
        assert not unknown, f"foreign optimizer state: {sorted(unknown)[:5]}"
        self._parts = self._build(state)
        self._lr, self._hparams, self._decay_factor = None, self._settings.hparams, 1.0

    def _keep_products(self, hparams: Hparams) -> None:
        """Begin to keep the products of the decays of moments where one of them is no longer the stage's."""
        own = self._settings.hparams
        state: OptimizerState | None = None
        for part in self._parts:
            layout = part.param_group.implementation.layout
            changes = any(hparams[decay] != own[decay] for decay in layout.moment_decays)
            if changes and not has_products(part.optimizer):
                names = [member.name for member in part.param_group.members]
                state = with_products(state or self.export_state(), layout, names, own)
        if state is not None:
            lr = self._lr
            self.import_state(state)
            if lr is not None:
                self.set_lr(lr)

    def _build(self, state: OptimizerState) -> tuple[_Part, ...]:
        return tuple(
            _Part(param_group, _build_part(param_group, self._settings, state))
            for param_group in self._param_groups
        )

    def _decay(self, param_group: ParamGroup, lr: float) -> None:
        if param_group.weight_decay and not param_group.implementation.decays_itself:
            matrices = [member.parameter.detach() for member in param_group.members if member.decays]
            if matrices:
                torch._foreach_mul_(matrices, 1.0 - lr * (param_group.weight_decay * self._decay_factor))

    def _learning_parts(self) -> list[_Part]:
        return [part for part in self._parts if part.param_group.learns(self._learning)]

    def _members(self) -> Iterator[Member]:
        for param_group in self._param_groups:
            yield from param_group.members

    def _with_evaluated_weights(self) -> Iterator[tuple[Optimizer, EvaluatedWeights]]:
        for part in self._parts:
            if part.param_group.implementation.evaluated is not None:
                yield part.optimizer, part.param_group.implementation.evaluated


def _build_part(param_group: ParamGroup, settings: Settings, state: OptimizerState) -> Optimizer:
    """Group members that share their numbers and their decay, then restore what the state knows of each."""
    implementation, layout = param_group.implementation, param_group.implementation.layout
    groups: dict[tuple[object, ...], Group] = {}
    for member in param_group.members:
        numbers = {
            slot: state.numbers.get(f"{member.name}/{slot}", start) for slot, start in layout.group_numbers.items()
        }
        numbers |= products_of(state, layout, member.name)
        decay = param_group.weight_decay if implementation.decays_itself and member.decays else 0.0
        group: Group = {"params": [], "lr": 0.0, "weight_decay": decay, **numbers}
        groups.setdefault((decay, *numbers.values()), group)["params"].append(member.parameter)
    optimizer = implementation.build(list(groups.values()), settings)
    for member in param_group.members:
        step_on_gpu = settings.on_gpu and implementation.step_on_gpu
        step_device = member.parameter.device if step_on_gpu else torch.device("cpu")
        slots = restore_slots(member.name, member.parameter, state, layout, step_device)
        if slots:
            optimizer.state[member.parameter] = slots
    return optimizer


def _read(part: _Part) -> Iterator[OptimizerState]:
    names = {member.parameter: member.name for member in part.param_group.members}
    layout = part.param_group.implementation.layout
    for group in part.optimizer.param_groups:
        numbers = {slot: group[slot] for slot in (*layout.group_numbers, *layout.decay_products) if slot in group}
        for parameter in group["params"]:
            name = names[parameter]
            slots = part.optimizer.state.get(parameter, {})
            state = read_slots(name, slots, layout)
            state.numbers.update({f"{name}/{slot}": number for slot, number in numbers.items()})
            yield state
