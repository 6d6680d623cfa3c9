"""Examination of a study: everything that is wrong with it, at once.

Wrong values are reported and replaced by harmless ones, so that the rules between settings can be checked in the
same pass; whatever reads a replaced value is then skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from pydantic import ValidationError

from mbo_search.errors import Problem
from mbo_search.study.checks.key_paths import Loc, Remaining, written_key
from mbo_search.study.checks.rules import check_study
from mbo_search.study.checks.type_errors import type_problems
from mbo_search.study.spec.study import StudySpec

_ROUNDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A study with all that is wrong with it.

    Attributes:
        study: The study, harmless values in place of wrong ones; None if nothing can be made of it.
        data: What it was made of.
        problems: What is wrong, with the author's key paths.
        replaced: Dotted key paths of what was replaced or left out.
    """

    study: StudySpec | None
    data: object
    problems: tuple[Problem, ...] = ()
    replaced: frozenset[str] = frozenset()


def examine(data: object) -> Examined:
    """Check types and rules of a study in long or short forms."""
    typed = _typed(data)
    return typed if typed.study is None else with_problems(typed, check_study(typed.study, typed.replaced))


def with_problems(examined: Examined, problems: tuple[Problem, ...]) -> Examined:
    """Add problems whose key paths are those of the long form."""
    written = (replace(problem, key=written_key(examined.data, problem.key)) for problem in problems)
    return replace(examined, problems=(*examined.problems, *written))


def _typed(data: object) -> Examined:
    problems: list[Problem] = []
    replaced: set[str] = set()
    for _ in range(_ROUNDS):
        study, found = _attempt(data)
        problems += [problem for problem in found.values() if problem and not _is_known(problem.key, replaced)]
        if study is not None or () in found:
            break
        for loc in sorted(found, key=len, reverse=True):
            data, at = _without(data, loc)
            replaced.add(".".join(map(str, at)))
    return Examined(study=study, data=data, problems=tuple(problems), replaced=frozenset(replaced))


def _attempt(data: object) -> tuple[StudySpec | None, Mapping[Loc, Problem | None]]:
    try:
        return StudySpec.model_validate(data), {}
    except ValidationError as error:
        return None, type_problems(data, error, StudySpec)


def _is_known(path: str, replaced: set[str]) -> bool:
    return any(path == known or path.startswith(f"{known}.") for known in replaced)


_STAGE = {"name": "stage", "share": "rest"}
_HARMLESS: Mapping[str, object] = MappingProxyType(
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
        "stages": [_STAGE],
        "stages.*": _STAGE,
        "stages.*.name": "stage",
        "stages.*.share": "rest",
        "study": "study",
        "train": {"batch_tokens": 64},
        "train.batch_tokens": 64,
    }
)
"""Stand-ins for required settings; all others are left out."""


def _without(data: object, loc: Loc) -> tuple[object, Loc]:
    """Replace or leave out the value at a place, or what holds it where that makes no sense without it."""
    stand_in = _HARMLESS.get(".".join("*" if isinstance(piece, int) else str(piece) for piece in loc))
    holder = _at(data, loc[:-1])
    is_missing = isinstance(holder, Mapping) and loc[-1] not in holder
    is_only = isinstance(holder, list | tuple | Mapping) and len(holder) == 1 and len(loc) > 2
    if loc == ("model", "size") or (stand_in is None and len(loc) > 1 and (is_missing or is_only)):
        return _without(data, loc[:-1])
    return _changed(data, loc, stand_in), loc


def _at(data: object, loc: Loc) -> object:
    for piece in loc:
        data = dict(_items(data)).get(piece)
    return data


def _changed(data: object, loc: Loc, new: object) -> object:
    """A copy with another value at a place; without it if the new value is None."""
    if not loc:
        return new
    items = dict(_items(data))
    if loc[0] not in items and not isinstance(data, Mapping):
        return data
    changed = _changed(items.get(loc[0]), loc[1:], new)
    items = {**items, loc[0]: changed} if changed is not None else {k: v for k, v in items.items() if k != loc[0]}
    return items if isinstance(data, Mapping) else Remaining(list(items.values()), [int(k) for k in items])


def _items(data: object) -> list[tuple[str | int, object]]:
    """List what a mapping or a list holds, by key or by position in what was written."""
    if isinstance(data, Mapping):
        return list(data.items())
    if isinstance(data, Remaining):
        return list(zip(data.positions, data, strict=True))
    return list(enumerate(data)) if isinstance(data, list | tuple) else []
