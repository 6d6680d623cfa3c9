"""Division of parameters among optimizers: one rule, and a check that nothing is left out or counted twice.

A matrix optimizer (muon, soap) updates the two-dimensional weights within the layers. Embeddings, the output
matrix (tied or not) and one-dimensional weights go to AdamW, at lr * aux_lr_ratio. Every other optimizer updates
all. Weight decay shrinks matrices, embeddings included, never one-dimensional weights. Frozen parameters are in no
part at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from mbo_search.model.blocks import block_of, trainable_names
from mbo_search.optim.implementation import Implementation, implementation_of
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.spec.schedule import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A parameter that learns.

    Attributes:
        name: Its name in the model.
        parameter: Itself.
        decays: Whether weight decay shrinks it.
    """

    name: str
    parameter: nn.Parameter
    decays: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamGroup:
    """A part of an optimizer: the parameters that one class updates.

    Attributes:
        part: `all`; or `matrices` and `rest` of a matrix optimizer.
        implementation: The class that updates them.
        lr_ratio: Their learning rate over the stage's.
        members: At least one.
    """

    part: str
    implementation: Implementation
    lr_ratio: float
    members: tuple[Member, ...]


def acting_optimizer(optimizer: str, name: str, num_dimensions: int) -> str:
    """Return the optimizer that really updates a parameter: the auxiliary one for what a matrix optimizer leaves.

    >>> acting_optimizer("muon", "model.layers.0.mlp.up_proj.weight", 2)
    'muon'
    >>> acting_optimizer("muon", "model.embed_tokens.weight", 2)
    'adamw'
    """
    auxiliary = OPTIMIZERS[optimizer].auxiliary
    is_hidden_matrix = num_dimensions == 2 and block_of(name) != "embeddings"
    return optimizer if auxiliary is None or is_hidden_matrix else auxiliary


def partition_parameters(model: nn.Module, stage: Stage) -> tuple[ParamGroup, ...]:
    """Divide the parameters that a stage trains among the parts of its optimizer.

    Returns:
        One or two parts, none of them empty.

    Raises:
        StudyError: If the stage names blocks that the model does not have.
    """
    names = trainable_names(model, stage.trainable)
    own: list[Member] = []
    rest: list[Member] = []
    for name, parameter in model.named_parameters():
        if name in names:
            acting = acting_optimizer(stage.optimizer, name, parameter.ndim)
            member = Member(name=name, parameter=parameter, decays=parameter.ndim >= 2)
            (own if acting == stage.optimizer else rest).append(member)
    _check(names, (*own, *rest))
    auxiliary = OPTIMIZERS[stage.optimizer].auxiliary
    if auxiliary is None:
        return _parts(("all", stage.optimizer, 1.0, own))
    ratio = stage.hparams["aux_lr_ratio"]
    return _parts(("matrices", stage.optimizer, 1.0, own), ("rest", auxiliary, ratio, rest))


def _parts(*parts: tuple[str, str, float, list[Member]]) -> tuple[ParamGroup, ...]:
    return tuple(
        ParamGroup(
            part=part, implementation=implementation_of(optimizer), lr_ratio=lr_ratio, members=tuple(members)
        )
        for part, optimizer, lr_ratio, members in parts
        if members
    )


def _check(names: frozenset[str], members: Sequence[Member]) -> None:
    """Assert that every trainable parameter is updated exactly once, tied ones included."""
    assert len({id(member.parameter) for member in members}) == len(members)
    assert sorted(member.name for member in members) == sorted(names)
