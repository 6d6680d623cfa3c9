"""Where a searched setting stands in a study, and the same stage with another range or other choices of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mbo_search.study.space.dimensions.dimension import DimensionSpace
from mbo_search.study.space.dimensions.mixture import names_label
from mbo_search.study.space.dimensions.table import DIMENSION_SPACES
from mbo_search.study.space.parameters import Value
from mbo_search.study.space.settings import set_label
from mbo_search.study.spec.sections.choices import LrShapeChoice, OptimizerChoice, RelativeLr, Timescale
from mbo_search.study.spec.sections.stages import BlockSettings, GroupSettings, StageSpace
from mbo_search.study.spec.sections.values import Range

Offer = Range | tuple[Value, ...]
"""What a setting may be: a range, or choices."""

_NUMBERS = ("share", "warmup", "rewarm", "weight_decay", "clip_norm", "layer_decay")
_WORDS = ("trainable", "hand_over")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageKey:
    """A key of a stage, with the value that it gets.

    Attributes:
        key: The key, such as `optimizer`.
        value: Its value, in the form in which `StageSpace` holds it.
    """

    key: str
    value: object


def new_setting(stage: StageSpace, parameter: str, offer: Offer) -> StageKey | None:
    """The key of a stage under which a parameter offers something else; None where no single key does.

    Args:
        stage: The stage with its defaults filled in.
        parameter: Name of the parameter.
        offer: What it is to offer.
    """
    head, *rest = parameter.split("/")[2:]
    if not rest:
        return _whole(stage, head, offer)
    if head == "regularizers" and len(rest) == 2:
        return _strength(stage, rest[0], rest[1], offer)
    if head == "mixture" and len(rest) == 2:
        return _weight(stage, rest[0], rest[1], offer)
    if head == "shapes" and len(rest) == 1:
        return _shapes(stage, rest[0], offer)
    if head == "groups" and len(rest) == 2:
        return _of_block(stage, rest[0], rest[1], offer)
    if head == "lr" and [choice.name for choice in stage.optimizer or ()] == rest:
        return StageKey(key="lr", value=_short(offer))
    return _of_choice(stage, head, rest[0], offer) if len(rest) == 1 else None


def _whole(stage: StageSpace, head: str, offer: Offer) -> StageKey | None:
    if head in _NUMBERS and head in StageSpace.model_fields:
        return StageKey(key=head, value=_short(offer))
    if head == "weight_decay_timescale":
        return StageKey(key="weight_decay", value=Timescale.model_validate({"timescale": _short(offer)}))
    if head == "lr_relative":
        return StageKey(key="lr", value=RelativeLr.model_validate({"relative": _short(offer)}))
    if not isinstance(offer, tuple):
        return None
    if (space := next((one for one in DIMENSION_SPACES if one.name == head), None)) is not None:
        return _of_dimension(space, getattr(stage, head), offer)
    kept: Mapping[str, Callable[[], object]] = {
        "optimizer": lambda: tuple(one for one in stage.optimizer or () if one.name in offer),
        "lr_shape": lambda: tuple(one for one in stage.lr_shape or () if one.kind in offer),
        "regularizers": lambda: tuple(one for one in stage.regularizers or () if set_label(one) in offer),
        **{word: lambda: offer for word in _WORDS},
    }
    return StageKey(key=head, value=kept[head]()) if head in kept else None


def _of_dimension(space: DimensionSpace[Any], held: object, offer: tuple[Value, ...]) -> StageKey | None:
    """A further setting that is a list: its entries by the names that the searcher chooses from."""
    if not isinstance(held, tuple):
        return None
    if all(isinstance(entry, int) for entry in held):
        return StageKey(key=space.name, value=tuple(int(number) for number in offer))
    kept = tuple(entry for entry in held if set(space.parameters("stage/0", (entry,))[0].choices) & set(offer))
    return StageKey(key=space.name, value=kept) if len(kept) == len(offer) else None


def _weight(stage: StageSpace, label: str, source: str, offer: Offer) -> StageKey:
    """The weight of a source in the mixture of some sources."""
    mixtures = tuple(
        {**one, source: _short(offer)} if not isinstance(one, str) and names_label(one) == label else one
        for one in stage.mixture or ()
    )
    return StageKey(key="mixture", value=mixtures)


def _shapes(stage: StageSpace, setting: str, offer: Offer) -> StageKey | None:
    """Shapes of a setting that changes within the stage."""
    held = stage.shapes or {}
    if setting not in held or not isinstance(offer, tuple):
        return None
    return StageKey(key="shapes", value={**held, setting: tuple(one for one in held[setting] if one.kind in offer)})


def _strength(stage: StageSpace, label: str, kind: str, offer: Offer) -> StageKey:
    sets = tuple(
        tuple(
            one.model_copy(update={"strength": _short(offer)}) if one.kind == kind else one for one in regularizers
        )
        if set_label(regularizers) == label
        else regularizers
        for regularizers in stage.regularizers or ()
    )
    return StageKey(key="regularizers", value=sets)


def _of_block(stage: StageSpace, kind: str, name: str, offer: Offer) -> StageKey | None:
    groups = stage.groups or GroupSettings()
    block = getattr(groups, kind, None)
    if not isinstance(block, BlockSettings):
        return None
    return StageKey(
        key="groups",
        value=groups.model_copy(update={kind: block.model_copy(update={name: _short(offer)})}),
    )


def _of_choice(stage: StageSpace, owner: str, name: str, offer: Offer) -> StageKey | None:
    """A setting of an optimizer or of a shape."""
    optimizers, shapes = stage.optimizer or (), stage.lr_shape or ()
    if owner in {one.name for one in optimizers}:
        changed: Sequence[OptimizerChoice | LrShapeChoice] = [
            _with(one, name, offer) if one.name == owner else one for one in optimizers
        ]
        return StageKey(key="optimizer", value=tuple(changed))
    if owner in {one.kind for one in shapes}:
        return StageKey(
            key="lr_shape", value=tuple(_with(one, name, offer) if one.kind == owner else one for one in shapes)
        )
    return None


def _with(choice: OptimizerChoice | LrShapeChoice, name: str, offer: Offer) -> OptimizerChoice | LrShapeChoice:
    return choice.model_copy(update={"hparams": {**choice.hparams, name: _short(offer)}})


def _short(offer: Offer) -> Range | tuple[Value, ...] | Value:
    """A single choice is written as a value."""
    return offer[0] if isinstance(offer, tuple) and len(offer) == 1 else offer
