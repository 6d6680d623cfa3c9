"""The key path under which an author knows a value.

Problems are found in the long form of a study, where `optimizer: {adamw: {beta2: 2}}` has its number at
`optimizer.0.hparams.beta2`. What people read is the path in what they wrote: `optimizer.adamw.beta2`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from mbo_search.study.spec import forms

Loc = tuple[str | int, ...]
"""A key path in pieces."""

_NAMES = ("optimizer", "lr_shape")
_BY_SETTING = "shapes"
"""Key of a mapping whose values have the form of such names."""
_IMPLIED = ("hparams", "kind", "name", "strength")
"""Keys of the long form that short forms of names do without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in what was written.

    Attributes:
        path: How to get there.
        value: What stands there.
    """

    path: Loc
    value: object

    @property
    def key(self) -> str:
        """The path, dotted."""
        return ".".join(str(piece) for piece in self.path)


class Remaining(list[object]):
    """Rest of a list from which items were removed; knows where each one stood."""

    def __init__(self, items: Sequence[object], positions: Sequence[int]) -> None:
        super().__init__(items)
        self.positions = tuple(positions)


def loc_of(path: str) -> Loc:
    """Cut a dotted key path into pieces; numbers are positions in lists.

    >>> loc_of("stages.0.lr")
    ('stages', 0, 'lr')
    """
    return tuple(int(part) if part.isdigit() else part for part in path.split(".")) if path else ()


def child_path(path: str, key: str | int) -> str:
    """Key path of a value in a mapping or list."""
    return f"{path}.{key}" if path else str(key)


def find(data: object, loc: Loc) -> Place:
    """Find the deepest place along a key path of the long form; pieces that were not written are passed over.

    >>> find({"optimizer": {"adamw": {"beta2": 2}}}, ("optimizer", 0, "hparams", "beta2")).key
    'optimizer.adamw.beta2'
    """
    place = Place(path=(), value=data)
    for piece in loc:
        place = _step(place, piece) or place
    return Place(path=place.path, value=_as_written(place.value))


def written_key(data: object, key: str) -> str:
    """Give a dotted key path of the long form as the author knows it; what was not written is kept as it is.

    >>> written_key({"optimizer": "adamw"}, "optimizer.0"), written_key({"optimizer": "adamw"}, "rewarm")
    ('optimizer', 'rewarm')
    """
    loc = loc_of(key)
    place = Place(path=(), value=data)
    for index, piece in enumerate(loc):
        step = _step(place, piece)
        if step is None and isinstance(piece, str) and piece not in _IMPLIED:
            return Place(path=(*place.path, *loc[index:]), value=None).key
        place = step or place
    return place.key


def _step(place: Place, piece: str | int) -> Place | None:
    child = _child(place.value, piece)
    return child and Place(path=(*place.path, *child.path), value=_long_form(piece, child.value))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Items:
    """A list in long form: each item with the path that leads to it from here."""

    places: tuple[Place, ...]
    written: object


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """The settings of a name, which are at the name itself."""

    settings: object


def _child(value: object, piece: str | int) -> Place | None:
    if isinstance(value, _Items):
        inside = isinstance(piece, int) and piece < len(value.places)
        return value.places[int(piece)] if inside else None
    if isinstance(value, _Named):
        return Place(path=(), value=value.settings) if piece in ("hparams", "strength") else None
    if isinstance(piece, int):
        return _item(value, piece)
    if isinstance(value, Mapping):
        return Place(path=(piece,), value=value[piece]) if piece in value else None
    has_field = isinstance(value, BaseModel) and piece in type(value).model_fields
    return Place(path=(piece,), value=getattr(value, piece)) if has_field else None


def _item(value: object, index: int) -> Place | None:
    if not isinstance(value, list | tuple) or index >= len(value):
        return None
    return Place(path=(_position(value, index),), value=value[index])


def _position(values: Sequence[object], index: int) -> int:
    return values.positions[index] if isinstance(values, Remaining) else index


def _long_form(key: str | int, value: object) -> object:
    if key in _NAMES:
        return _Items(places=tuple(_entries(value)), written=value)
    if key == _BY_SETTING and isinstance(value, Mapping):
        return {name: _long_form(_NAMES[-1], own) for name, own in value.items()}
    return _regularizer_sets(value) if key == "regularizers" else value


def _entries(value: object) -> Iterator[Place]:
    """Every name with the path to it: a bare name, a list of names and names with settings, or a mapping."""
    if isinstance(value, Mapping) and not forms.is_long(value):
        yield from (Place(path=(key,), value=_Named(settings=item)) for key, item in value.items())
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            at = _position(value, index)
            if isinstance(item, Mapping) and len(item) == 1:
                yield from (Place(path=(at, *inner.path), value=inner.value) for inner in _entries(item))
            else:
                yield Place(path=(at,), value=item)
    else:
        yield Place(path=(), value=value)


def _regularizer_sets(value: object) -> object:
    if isinstance(value, Mapping):
        only = Place(path=(), value=_Items(places=tuple(_entries(value)), written=value))
        return _Items(places=(only,), written=value)
    if not isinstance(value, list | tuple):
        return value
    places = tuple(Place(path=(_position(value, i),), value=_one_set(item)) for i, item in enumerate(value))
    return _Items(places=places, written=value)


def _one_set(value: object) -> object:
    """A set in which every mapping may hold several regularizers."""
    if not isinstance(value, list | tuple):
        return value
    places = [
        Place(path=(_position(value, index), *inner.path), value=inner.value)
        for index, item in enumerate(value)
        for inner in _entries(item)
    ]
    return _Items(places=tuple(places), written=value)


def _as_written(value: object) -> object:
    if isinstance(value, _Items):
        return value.written
    if isinstance(value, Mapping) and any(isinstance(own, _Items) for own in value.values()):
        return {name: _as_written(own) for name, own in value.items()}
    return value.settings if isinstance(value, _Named) else value
