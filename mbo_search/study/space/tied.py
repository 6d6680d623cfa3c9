"""Stages that have something in common: what is chosen once, in the first, and what stage by stage.

The parameters are those of the free stages without what is tied in the later ones. Conditions on these become
conditions on the first stage's, so that whatever depends on the optimizer exists where it would exist otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from mbo_search.study.space.parameters import Condition, Declaration, Derived, Parameter, Value

Tied = Literal["nothing", "optimizer", "strategy"]
"""Settings that all stages have in common; of a strategy everything but learning rate, its shape and warm-up."""

NOTHING: Tied = "nothing"

_FOR_ALL_STAGES = "study"
"""Settings of the user's own that hold for a whole schedule are chosen once whatever else is."""

_FIRST_IS_TRAINED = "route/0/trained"

_OF_THE_LEARNING_RATE = ("lr", "lr_relative", "lr_shape", "rewarm", "share", "warmup")


def tied_parameters(declared: Sequence[Declaration], tied: Tied) -> tuple[Declaration, ...]:
    """Declarations of stages that have something in common."""
    own = [one for one in declared if isinstance(one, Parameter)]
    if tied == NOTHING and not any(_is_common(one.name) for one in own):
        return tuple(declared)
    shapes = _shape_names(own)
    is_tied = {one.name: _is_tied(one.name, tied, shapes) for one in own}
    later = {name for name, holds in is_tied.items() if holds and not name.startswith("stage/0/")}
    return tuple(
        one if isinstance(one, Derived) else _among_tied(one, later, is_tied=is_tied[one.name])
        for one in declared
        if one.name not in later
    )


def _among_tied(parameter: Parameter, later: set[str], *, is_tied: bool) -> Parameter:
    """A parameter with its conditions on the first stage; what holds for all stages is chosen even without it."""
    when = (condition for condition in parameter.when if not (is_tied and _FIRST_IS_TRAINED in condition.names))
    return replace(parameter, when=tuple(_on_first(condition, later) for condition in when))


def spread(values: Mapping[str, Value], tied: Tied, num_stages: int) -> dict[str, Value]:
    """Values of all stages out of those that were chosen."""
    if tied == NOTHING and not any(map(_is_common, values)):
        return dict(values)
    first = {name.removeprefix("stage/0/"): value for name, value in values.items() if name.startswith("stage/0/")}
    shapes = {str(value) for name, value in values.items() if name.endswith("/lr_shape")}
    common = {name: value for name, value in first.items() if _is_tied(f"stage/0/{name}", tied, shapes)}
    later = (f"stage/{index}/{name}" for index in range(1, num_stages) for name in common)
    return dict(values) | {name: common[name.split("/", 2)[2]] for name in later}


def _shape_names(declared: Sequence[Parameter]) -> set[str]:
    shapes = (parameter for parameter in declared if parameter.name.endswith("/lr_shape"))
    return {str(choice) for parameter in shapes for choice in parameter.choices}


def _is_tied(name: str, tied: Tied, shapes: set[str]) -> bool:
    """Tell whether a parameter is chosen once; settings of a shape (`stage/1/wsd/decay`) belong to the rate."""
    _, _, setting = name.split("/", 2)
    if _is_common(name) or tied == NOTHING:
        return _is_common(name)
    if tied == "optimizer":
        return setting == "optimizer"
    owner = setting.partition("/")[0]
    return owner not in _OF_THE_LEARNING_RATE and owner not in shapes and owner != "hand_over"


def _is_common(name: str) -> bool:
    return name.split("/", 3)[2] == _FOR_ALL_STAGES


def _on_first(condition: Condition, later: set[str]) -> Condition:
    """The condition with everything tied read off the first stage; contradictory combinations fall away."""
    names = [_in_first_stage(name) if name in later else name for name in condition.names]
    combined = (_combined(names, values) for values in condition.allowed)
    allowed = frozenset(values for values in combined if values is not None)
    return Condition(names=tuple(dict.fromkeys(names)), allowed=allowed)


def _in_first_stage(name: str) -> str:
    return f"stage/0/{name.split('/', 2)[2]}"


def _combined(names: Sequence[str], values: Sequence[Value]) -> tuple[Value, ...] | None:
    found: dict[str, Value] = {}
    for name, value in zip(names, values, strict=True):
        if found.setdefault(name, value) != value:
            return None
    return tuple(found.values())
