"""Staged schedules that keep one optimizer: what is chosen once, and what stage by stage.

The parameters are those of the staged space but for the later stages' optimizers. Conditions on these become
conditions on the first stage's, so that whatever depends on the optimizer exists where it does in the staged space.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mbo_search.study.parameters import Condition, Parameter, Value
from mbo_search.study.stage_axes import StageAxes

__all__ = ["common_optimizers", "optimizer_name", "with_common_optimizers", "with_one_optimizer"]


def optimizer_name(index: int) -> str:
    """Name of the parameter that chooses the optimizer of a stage."""
    return f"stage/{index}/optimizer"


def common_optimizers(offered: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The optimizers that every stage offers, in the order of the first.

    Args:
        offered: Names by stage.

    >>> common_optimizers([["adamw", "lion", "muon"], ["muon", "adamw"]])
    ('adamw', 'muon')
    """
    return tuple(name for name in offered[0] if all(name in names for names in offered))


def with_common_optimizers(stages: Sequence[StageAxes]) -> tuple[StageAxes, ...]:
    """Stages that offer only what every stage offers; each keeps its own settings of it.

    Args:
        stages: The study's stages.
    """
    common = common_optimizers([[choice.name for choice in axes.optimizers] for axes in stages])
    return tuple(_with_optimizers(axes, common) for axes in stages)


def with_one_optimizer(declared: Sequence[Parameter]) -> tuple[Parameter, ...]:
    """Parameters of stages whose optimizer is chosen once, in the first.

    Args:
        declared: Parameters of all stages in order, the optimizer of each among them.
    """
    later = {parameter.name for parameter in declared if _is_later_optimizer(parameter.name)}
    return tuple(
        replace(parameter, when=tuple(_on_first(condition, later) for condition in parameter.when))
        for parameter in declared
        if parameter.name not in later
    )


def _with_optimizers(axes: StageAxes, names: Iterable[str]) -> StageAxes:
    choices = {choice.name: choice for choice in axes.optimizers}
    return replace(
        axes,
        optimizers=tuple(choices[name] for name in names),
        absolute_lr={name: axes.absolute_lr[name] for name in names if name in axes.absolute_lr},
    )


def _is_later_optimizer(name: str) -> bool:
    stage, _, rest = name.removeprefix("stage/").partition("/")
    return rest == "optimizer" and stage != "0"


def _on_first(condition: Condition, later: set[str]) -> Condition:
    """The condition with every stage's optimizer read off the first; contradictory combinations fall away."""
    names = [optimizer_name(0) if name in later else name for name in condition.names]
    combined = (_combined(names, values) for values in condition.allowed)
    allowed = frozenset(values for values in combined if values is not None)
    return Condition(names=tuple(dict.fromkeys(names)), allowed=allowed)


def _combined(names: Sequence[str], values: Sequence[Value]) -> tuple[Value, ...] | None:
    found: dict[str, Value] = {}
    for name, value in zip(names, values, strict=True):
        if found.setdefault(name, value) != value:
            return None
    return tuple(found.values())
