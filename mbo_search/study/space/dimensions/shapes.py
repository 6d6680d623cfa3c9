"""Choices of shapes of other settings than the learning rate, each where its setting exists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.within_stage import changing_settings, optimizers_that_change
from mbo_search.study.space.parameters import Condition, Parameter, Value
from mbo_search.study.space.settings import (
    equals,
    hparam_values,
    one_of,
    set_label,
    setting_parameters,
    united_setting,
)
from mbo_search.study.spec.schedule import LrShape, Stage
from mbo_search.study.spec.sections.choices import LrShapeChoice, LrShapes
from mbo_search.study.spec.sections.stages import StageDefaults

_AT = "shapes"
_CONSTANT = "constant"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeChoices:
    """Shapes that a stage offers.

    Attributes:
        shapes: By setting.
        sets: Names of the sets of regularizers that hold a setting, for those that are regularizers.
    """

    shapes: Mapping[str, LrShapes]
    sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class ShapesSpace:
    """The field `shapes`: parameters `shapes/beta2` for the kind, `shapes/beta2/linear/floor` for its settings."""

    name = _AT

    def choices(self, stage: StageDefaults) -> ShapeChoices | None:
        """Note beside the shapes in which sets of regularizers each setting is."""
        if not stage.shapes:
            return None
        sets = {name: _sets_with(name, stage) for name in stage.shapes}
        return ShapeChoices(shapes=stage.shapes, sets={name: labels for name, labels in sets.items() if labels})

    def parameters(self, at: str, choices: ShapeChoices) -> list[Parameter]:
        """Declare a choice of shapes for each setting, and the settings of each shape."""
        found: list[Parameter] = []
        for setting, shapes in choices.shapes.items():
            name, when = f"{at}/{_AT}/{setting}", _where(at, setting, choices)
            found.append(Parameter(name=name, choices=tuple(choice.kind for choice in shapes), when=when))
            for choice in shapes:
                known = LR_SHAPES[choice.kind].hparams
                values = hparam_values(known, choice.hparams)
                found += setting_parameters(f"{name}/{choice.kind}", values, known, (equals(name, choice.kind),))
        return found

    def build(self, choices: ShapeChoices, values: Mapping[str, Value]) -> dict[str, LrShape] | None:
        """Make the shapes that are not constant."""
        built = {setting: _shape(setting, values) for setting in choices.shapes}
        return {setting: shape for setting, shape in built.items() if shape is not None} or None

    def values(self, stage: Stage) -> dict[str, Value]:
        """Return the kind of every setting, and the settings of each shape."""
        found: dict[str, Value] = {f"{_AT}/{setting}": _CONSTANT for setting in changing_settings()}
        for setting, shape in (stage.shapes or {}).items():
            name = f"{_AT}/{setting}"
            found |= {name: shape.kind, **{f"{name}/{shape.kind}/{key}": v for key, v in shape.hparams.items()}}
        return found

    def union(self, choices: Sequence[ShapeChoices | None]) -> ShapeChoices | None:
        """Unite the shapes of each setting; a stage that sets none of it keeps it constant."""
        found = [one for one in choices if one is not None]
        settings = dict.fromkeys(setting for one in found for setting in one.shapes)
        sets = {setting: _united_labels(one.sets.get(setting, ()) for one in found) for setting in settings}
        return ShapeChoices(
            shapes={setting: _united_shapes(setting, choices) for setting in settings},
            sets={setting: labels for setting, labels in sets.items() if labels},
        )


def _sets_with(kind: str, stage: StageDefaults) -> tuple[str, ...]:
    return tuple(set_label(one) for one in stage.regularizers or () if kind in {choice.kind for choice in one})


def _where(at: str, setting: str, choices: ShapeChoices) -> tuple[Condition, ...]:
    if setting in choices.sets:
        return (one_of(f"{at}/regularizers", choices.sets[setting]),)
    return (one_of(f"{at}/optimizer", optimizers_that_change(setting)),)


def _shape(setting: str, values: Mapping[str, Value]) -> LrShape | None:
    name = f"{_AT}/{setting}"
    kind = str(values.get(name, _CONSTANT))
    if kind == _CONSTANT:
        return None
    known = LR_SHAPES[kind].hparams
    hparams = {key: values.get(f"{name}/{kind}/{key}", info.default) for key, info in known.items()}
    return LrShape(kind=kind, hparams=hparams)


def _united_labels(labels: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label for own in labels for label in own))


def _united_shapes(setting: str, choices: Sequence[ShapeChoices | None]) -> LrShapes:
    constant = (LrShapeChoice(kind=_CONSTANT),)
    found: dict[str, LrShapeChoice] = {}
    for one in choices:
        for choice in constant if one is None else one.shapes.get(setting, constant):
            found[choice.kind] = _united(found[choice.kind], choice) if choice.kind in found else choice
    return tuple(found.values())


def _united(one: LrShapeChoice, other: LrShapeChoice) -> LrShapeChoice:
    known = LR_SHAPES[one.kind].hparams
    mine, theirs = hparam_values(known, one.hparams), hparam_values(known, other.hparams)
    return LrShapeChoice(kind=one.kind, hparams={name: united_setting(mine[name], theirs[name]) for name in mine})
