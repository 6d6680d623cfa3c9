"""Making a study of a file with mistakes, so that all of them can be reported at once.

Wrong values are reported and replaced by harmless ones, so that the rules between settings can be checked in the
same pass; whatever touches a replaced value is then left alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import ValidationError

from mbo_search.errors import Problem
from mbo_search.study.files.key_paths import Loc
from mbo_search.study.files.short_forms import Json, plain
from mbo_search.study.files.type_errors import type_problems
from mbo_search.study.files.yaml_tree import MapNode
from mbo_search.study.spec.study import Study

_ROUNDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """A study as far as its types are right.

    Attributes:
        study: The study, harmless values in place of wrong ones; None if nothing can be made of it.
        problems: The wrong ones.
        replaced: Dotted long-form key paths of what was replaced or left out.
    """

    study: Study | None
    problems: tuple[Problem, ...]
    replaced: frozenset[str]


def typed_study(root: MapNode, already_reported: frozenset[str]) -> Typed:
    """Make a study of a tree in long form."""
    value = plain(root)
    problems: list[Problem] = []
    replaced: set[str] = set(already_reported)
    for _ in range(_ROUNDS):
        try:
            study = Study.model_validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            for loc, problem in type_problems(root, error, Study).items():
                path = ".".join(str(piece) for piece in _mendable(loc))
                if problem is not None and not _is_known(path, replaced):
                    problems.append(problem)
                replaced.add(path)
                value = _mended(value, _mendable(loc))
        else:
            return Typed(study=study, problems=tuple(problems), replaced=frozenset(replaced))
    return Typed(study=None, problems=tuple(problems), replaced=frozenset(replaced))


def _is_known(path: str, replaced: set[str]) -> bool:
    return any(path == known or path.startswith(f"{known}.") for known in replaced)


_HARMLESS_STAGE: Json = {"name": "stage", "share": "rest"}
_HARMLESS: Mapping[str, Json] = MappingProxyType(
    {
        "budget": {"tokens": 1_000_000},
        "budget.tokens": 1_000_000,
        "data": {"source": ["docs"]},
        "data.source": ["docs"],
        "model": {"layers": 1, "width": 64, "heads": 1, "context": 64},
        "model.context": 64,
        "model.heads": 1,
        "model.layers": 1,
        "model.width": 64,
        "stages": [_HARMLESS_STAGE],
        "stages.*": _HARMLESS_STAGE,
        "stages.*.name": "stage",
        "stages.*.share": "rest",
        "study": "study",
        "train": {"batch_tokens": 64},
        "train.batch_tokens": 64,
    }
)
"""Stand-ins for required settings; all others are left out."""


def _pattern(loc: Loc) -> str:
    return ".".join("*" if isinstance(piece, int) else piece for piece in loc)


def _mendable(loc: Loc) -> Loc:
    """The value to replace: for an item of a list, the list, except for a whole stage."""
    if loc and isinstance(loc[-1], int) and _pattern(loc) not in _HARMLESS:
        return _mendable(loc[:-1])
    return loc


def _mended(value: Json, loc: Loc) -> Json:
    """Put the stand-in of a required setting in its place; leave out any other."""
    return _replace(value, loc, _HARMLESS.get(_pattern(loc))) if loc else {}


def _replace(value: Json, loc: Loc, new: Json) -> Json:
    head, rest = loc[0], loc[1:]
    if isinstance(value, list) and isinstance(head, int) and head < len(value):
        item = _replace(value[head], rest, new) if rest else new
        return [*value[:head], item, *value[head + 1 :]]
    if not isinstance(value, dict):
        return value
    key = str(head)
    others = {name: other for name, other in value.items() if name != key}
    if rest:
        return {**others, key: _replace(value[key], rest, new)} if key in value else value
    return {**others, key: new} if new is not None else others
