"""Division of parameters among optimizers: one rule, and a check that nothing is left out or counted twice.

A matrix optimizer (muon, soap) updates the two-dimensional weights within the layers. Embeddings, the output
matrix (tied or not) and one-dimensional weights go to AdamW, at lr * aux_lr_ratio. Every other optimizer updates
all. Weight decay shrinks matrices, embeddings included, never one-dimensional weights. Frozen parameters are in no
part at all.

Within a part, parameters with one learning rate and one weight decay form a group. A stage may give kinds of blocks
their own of both (`groups`), and each layer a part of the learning rate of the layer above it (`layer_decay`); the
factors are multiplied. Where blocks learn in turn (`cycle`), each has groups of its own, and so optimizers of its
own: whatever they count stands still while it rests.

References:
    Howard & Ruder 2018, arXiv:1801.06146 (discriminative fine-tuning, each layer at 1 / 2.6 of the rate above it);
    Clark et al. 2020, arXiv:2003.10555 (layer-wise decay of the learning rate). Differs from the papers: language
    models bring their output matrix, so the last layer has the stage's own rate, as everything above it has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from mbo_search.errors import Problem, StudyError
from mbo_search.model.blocks import block_of, layers_above, trainable_names
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
        blocks: Positions of the blocks of the stage's `cycle` that hold it; it learns when one of them does, and at
            every step if there are none.
    """

    name: str
    parameter: nn.Parameter
    decays: bool
    blocks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamGroup:
    """A part of an optimizer: the parameters that one class updates.

    Attributes:
        part: `all`; or `matrices` and `rest` of a matrix optimizer.
        implementation: The class that updates them.
        lr_ratio: Their learning rate over the stage's.
        weight_decay: Decoupled weight decay of those that decay.
        members: At least one; all are in the same blocks of the stage's `cycle`.
    """

    part: str
    implementation: Implementation
    lr_ratio: float
    weight_decay: float
    members: tuple[Member, ...]

    def learns(self, blocks: Collection[int] | None) -> bool:
        """Tell whether they learn while these blocks do; None: all blocks do."""
        own = self.members[0].blocks
        return blocks is None or not own or any(block in blocks for block in own)


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
        The groups of one or two parts, none of them empty, part by part.

    Raises:
        StudyError: If the stage names blocks that the model does not have, or that it does not train.
    """
    names = trainable_names(model, stage.trainable)
    above, blocks = layers_above(model), _blocks(model, stage, names)
    own: list[Member] = []
    rest: list[Member] = []
    for name, parameter in model.named_parameters():
        if name in names:
            acting = acting_optimizer(stage.optimizer, name, parameter.ndim)
            member = Member(name=name, parameter=parameter, decays=parameter.ndim >= 2, blocks=blocks[name])
            (own if acting == stage.optimizer else rest).append(member)
    _check(names, (*own, *rest))
    auxiliary = OPTIMIZERS[stage.optimizer].auxiliary
    if auxiliary is None:
        return tuple(_groups("all", stage.optimizer, 1.0, own, stage, above))
    ratio = stage.hparams["aux_lr_ratio"]
    matrices = _groups("matrices", stage.optimizer, 1.0, own, stage, above)
    return (*matrices, *_groups("rest", auxiliary, ratio, rest, stage, above))


def _groups(
    part: str, optimizer: str, lr_ratio: float, members: Sequence[Member], stage: Stage, above: Mapping[str, int]
) -> Iterator[ParamGroup]:
    """Members of a part by learning rate, weight decay and blocks, in the order of the first of each."""
    found: dict[tuple[float, float, tuple[int, ...]], list[Member]] = {}
    for member in members:
        own = _lr_ratio(stage, member.name, above[member.name])
        key = (lr_ratio * own, _weight_decay(stage, member.name), member.blocks)
        found.setdefault(key, []).append(member)
    for (ratio, weight_decay, _), together in found.items():
        yield ParamGroup(
            part=part,
            implementation=implementation_of(optimizer),
            lr_ratio=ratio,
            weight_decay=weight_decay,
            members=tuple(together),
        )


def _blocks(model: nn.Module, stage: Stage, names: frozenset[str]) -> dict[str, tuple[int, ...]]:
    """Positions of the blocks of the stage's `cycle` that hold each parameter; each block holds one that learns."""
    blocks = () if stage.cycle is None else stage.cycle.blocks
    members = [trainable_names(model, block) & names for block in blocks]
    problems = [
        Problem(key="cycle", value=block, rule="names nothing that the stage trains", hint="see its `trainable`")
        for block, held in zip(blocks, members, strict=True)
        if not held
    ]
    if problems:
        raise StudyError(problems)
    return {name: tuple(index for index, held in enumerate(members) if name in held) for name in names}


def _lr_ratio(stage: Stage, name: str, layers_above_it: int) -> float:
    decay = 1.0 if stage.layer_decay is None else stage.layer_decay**layers_above_it
    return stage.lr_ratios.get(block_of(name), 1.0) * decay


def _weight_decay(stage: Stage, name: str) -> float:
    if not OPTIMIZERS[stage.optimizer].decoupled_decay:
        return 0.0
    return stage.weight_decays.get(block_of(name), stage.weight_decay)


def _check(names: frozenset[str], members: Sequence[Member]) -> None:
    """Assert that every trainable parameter is updated exactly once, tied ones included."""
    assert len({id(member.parameter) for member in members}) == len(members)
    assert sorted(member.name for member in members) == sorted(names)
