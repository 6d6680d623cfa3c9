"""What a setting stands on before a part of it is replaced: a stage's own value, the defaults, a short form.

`--set stages.0.lr.relative.high=8` changes one end of an interval that the stage may have from `stage_defaults`, or
from the built-in defaults. The interval is copied into the stage first, so that the other end stays what it was.
"""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.study.files.yaml_document import Json
from mbo_search.study.space.defaults import BUILT_IN_DEFAULTS

_SHORT_FORMS = {"control": "share", "data.tokenizer": "kind"}
"""Sections that may be written as a single value, and what that value is."""


def with_inherited(value: Json, keys: Sequence[str]) -> tuple[Json, str]:
    """Write out what the parts of a setting are taken from, if one of them is to be replaced.

    Args:
        value: A study as it is written.
        keys: Pieces of the key path that is to be replaced.

    Returns:
        The study, and the key path that was filled in; empty if nothing was.
    """
    for length in range(1, len(keys)):
        path, held = ".".join(keys[:length]), _at(value, keys[:length])
        stands_on = _stands_on(value, keys[:length], held)
        if stands_on is not None:
            return _with(value, keys[:length], stands_on), path
    return value, ""


def _stands_on(value: Json, keys: Sequence[str], held: Json) -> Json:
    path = ".".join(keys)
    if path in _SHORT_FORMS and isinstance(held, str | int | float):
        return {_SHORT_FORMS[path]: held}
    if held is not None:
        return None
    if keys[0] == "stages" and len(keys) == 3:
        own = _at(value, ("stage_defaults", keys[2]))
        return _built_in(keys[2]) if own is None else own
    return _built_in(keys[1]) if keys[0] == "stage_defaults" and len(keys) == 2 else None


def _built_in(name: str) -> Json:
    defaults: dict[str, Json] = BUILT_IN_DEFAULTS.model_dump(mode="json", exclude_none=True)
    return defaults.get(name)


def _at(value: Json, keys: Sequence[str]) -> Json:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _with(value: Json, keys: Sequence[str], new: Json) -> Json:
    """A copy with a value at a key path whose holder exists."""
    if not keys:
        return new
    key, rest = keys[0], keys[1:]
    if isinstance(value, list):
        if not key.isdigit() or int(key) >= len(value):
            return value
        return [_with(item, rest, new) if index == int(key) else item for index, item in enumerate(value)]
    holder = value if isinstance(value, dict) else {}
    return {**holder, key: _with(holder.get(key), rest, new)}
