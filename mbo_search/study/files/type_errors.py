"""What does not fit a type, in our words and with positions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mbo_search.errors import Problem
from mbo_search.study.catalogue.suggestions import nearest_hint, nearest_name
from mbo_search.study.files.key_paths import Loc, find
from mbo_search.study.files.yaml_tree import MapNode, Node, child_path, shown
from mbo_search.study.spec.study import ModelSpec


def type_problems(root: Node, error: ValidationError, model: type[BaseModel]) -> Mapping[Loc, Problem | None]:
    """Say in our words, and with positions, what does not fit a type."""
    places = _by_place(root, error)
    meant = {_meant(loc, model) for loc, details in places.items() if details[0]["type"] == "extra_forbidden"}
    return {
        loc: None if _is_missing(details) and loc in meant else _problem(root, loc, details, model=model)
        for loc, details in places.items()
    }


def _is_missing(details: list[ErrorDetails]) -> bool:
    return details[0]["type"] == "missing"


def _meant(loc: Loc, model: type[BaseModel]) -> Loc:
    """The key path that an unknown key probably stands for; what it stands for is not missing as well."""
    return (*loc[:-1], nearest_name(str(loc[-1]), _known_keys(model, loc[:-1])) or "")


def _by_place(root: Node, error: ValidationError) -> Mapping[Loc, list[ErrorDetails]]:
    """Errors grouped by the value they are about; the members of a union complain one by one."""
    places: dict[Loc, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        _, reached = find(root, details["loc"])
        is_about_key = details["type"] in ("missing", "extra_forbidden")
        place = (*reached, details["loc"][-1]) if details["type"] == "missing" else reached
        places.setdefault(place if is_about_key else reached, []).append(details)
    return places


def _problem(root: Node, loc: Loc, details: list[ErrorDetails], *, model: type[BaseModel]) -> Problem:
    node, reached = find(root, loc)
    if _is_missing(details):
        return Problem(key=child_path(node.path, loc[-1]), rule="is missing", where=node.where)
    if details[0]["type"] == "extra_forbidden":
        return _unknown_key(root, reached, model)
    return Problem(
        key=node.path, value=shown(node), rule=_rule(details), hint=_hint(node, details), where=node.where
    )


def _unknown_key(root: Node, loc: Loc, model: type[BaseModel]) -> Problem:
    parent, _ = find(root, loc[:-1])
    node, _ = find(root, loc)
    key = str(loc[-1])
    known = _known_keys(model, loc[:-1])
    where = parent.key_wheres.get(key, node.where) if isinstance(parent, MapNode) else node.where
    hint = nearest_hint(key, known) or f"known are {', '.join(known)}"
    return Problem(key=node.path, rule="is no known key", hint=hint, where=where)


def _known_keys(model: type[BaseModel], loc: Loc) -> tuple[str, ...]:
    """Keys that a mapping may have."""
    for piece in loc:
        if isinstance(piece, str) and piece in model.model_fields:
            model = next(iter(_models_in(model.model_fields[piece].annotation)), model)
    short = ("size",) if model is ModelSpec else ()
    return (*model.model_fields, *short)


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "bool_parsing": "true or false",
        "bool_type": "true or false",
        "dict_type": "a mapping",
        "finite_number": "a finite number",
        "float_parsing": "a number",
        "float_type": "a number",
        "int_from_float": "a whole number",
        "int_parsing": "a whole number",
        "int_parsing_size": "a smaller whole number",
        "int_type": "a whole number",
        "list_type": "a list",
        "model_type": "a mapping",
        "none_required": "null",
        "string_type": "text",
        "tuple_type": "a list",
    }
)


def _rule(details: list[ErrorDetails]) -> str:
    """One sentence for all complaints about a value."""
    bounds = [bound for one in details if (bound := _bound(one))]
    if bounds:
        return f"must be {bounds[0]}"
    kinds = dict.fromkeys(kind for one in details if (kind := _kind(one)))
    return f"must be {' or '.join(kinds)}" if kinds else f"is wrong: {details[0]['msg']}"


def _kind(details: ErrorDetails) -> str:
    if details["type"] == "literal_error":
        names = _names(details)
        return f"one of {names}" if "," in names else names
    return _KINDS.get(details["type"], "")


def _names(details: ErrorDetails) -> str:
    return str(details.get("ctx", {}).get("expected", "")).replace("'", "").replace(" or ", ", ")


def _bound(details: ErrorDetails) -> str:
    ctx = details.get("ctx", {})
    words = {
        "greater_than": f"greater than {ctx.get('gt')}",
        "greater_than_equal": f"at least {ctx.get('ge')}",
        "less_than": f"less than {ctx.get('lt')}",
        "less_than_equal": f"at most {ctx.get('le')}",
        "too_short": "a list with at least one value",
    }
    return words.get(details["type"], "")


def _hint(node: Node, details: list[ErrorDetails]) -> str:
    expected = [_names(one).split(", ") for one in details if one["type"] == "literal_error"]
    return nearest_hint(shown(node), expected[0]) if expected else ""
