"""Type errors in our words, with the author's key paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mbo_search.errors import Problem
from mbo_search.study.catalogue.suggestions import nearest_hint, nearest_name
from mbo_search.study.checks.key_paths import Loc, Place, find
from mbo_search.study.checks.written import shown
from mbo_search.study.spec import forms
from mbo_search.study.spec.sections.model import ModelSpec


def type_problems(data: object, error: ValidationError, model: type[BaseModel]) -> Mapping[Loc, Problem | None]:
    """Say in our words what does not fit a type, by the author's key path.

    A key that an unknown one probably stands for is wrong as well, but no problem of its own: None.
    """
    found: dict[Loc, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        if details["type"] != "too_short" or not details["input"]:  # wrong items are not counted
            found.setdefault(_place(data, details).path, []).append(details)
    meant = {_meant(model, details) for (details, *_) in found.values() if details["type"] == "extra_forbidden"}
    return {
        path: None if _is_missing(details) and details[0]["loc"] in meant else _problem(data, details, model)
        for path, details in found.items()
    }


def _is_missing(details: Sequence[ErrorDetails]) -> bool:
    return details[0]["type"] == "missing"


def _place(data: object, details: ErrorDetails) -> Place:
    """Find what an error is about; the members of a union complain one by one about the same place."""
    place = find(data, details["loc"])
    at = details["loc"][-1] if details["type"] == "missing" else details.get("ctx", {}).get("at")
    if not at:
        return place
    value = place.value.get(at) if isinstance(place.value, Mapping) else None
    return Place(path=(*place.path, at), value=value)


def _meant(model: type[BaseModel], details: ErrorDetails) -> Loc:
    """The place that an unknown key probably stands for; what it stands for is not missing as well."""
    loc = details["loc"]
    return (*loc[:-1], nearest_name(str(loc[-1]), _known_keys(model, loc[:-1])) or "")


def _problem(data: object, details: Sequence[ErrorDetails], model: type[BaseModel]) -> Problem:
    place = _place(data, details[0])
    if _is_missing(details):
        return Problem(key=place.key, rule="is missing")
    if details[0]["type"] == "extra_forbidden":
        known = _known_keys(model, details[0]["loc"][:-1])
        hint = nearest_hint(str(place.path[-1]), known) or f"known are {', '.join(known)}"
        return Problem(key=place.key, rule="is not a known key", hint=hint)
    value = shown(place.value)
    return Problem(key=place.key, value=value, rule=_rule(details), hint=_hint(value, details))


def _known_keys(model: type[BaseModel], loc: Loc) -> tuple[str, ...]:
    """Keys that a mapping may have; in a union, the name of the member follows in the path."""
    members: list[type[BaseModel]] = []
    for piece in loc:
        model = next((member for member in members if member.__name__ == piece), model)
        if piece in model.model_fields:
            members = _models_in(model.model_fields[str(piece)].annotation)
            model = members[0] if members else model
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
        "string_type": "text",
        "tuple_type": "a list",
    }
)


def _rule(details: Sequence[ErrorDetails]) -> str:
    """One sentence for all complaints about a value."""
    rules = [one["msg"] for one in details if one["type"] == forms.RULE]
    if rules:
        return rules[0]
    bounds = [bound for one in details if (bound := _bound(one))]
    if bounds:
        return f"must be {bounds[0]}"
    kinds = list(dict.fromkeys(kind for one in details for kind in _kinds(one)))
    return f"must be {_alternatives(kinds)}" if kinds else f"is wrong: {details[0]['msg']}"


def _alternatives(kinds: Sequence[str]) -> str:
    """Join kinds by commas and `or`.

    >>> _alternatives(["a number", "a list", "off"]), _alternatives(["a number", "auto"])
    ('a number, a list, or off', 'a number or auto')
    """
    comma = "," if len(kinds) > 2 else ""
    before = ", ".join(kinds[:-1])
    return f"{before}{comma} or {kinds[-1]}" if before else kinds[-1]


def _kinds(details: ErrorDetails) -> list[str]:
    if details["type"] == forms.KIND:
        return details["msg"].split("|")
    if details["type"] == "literal_error":
        names = _names(details)
        return [f"one of {names}" if "," in names else names]
    return [_KINDS[details["type"]]] if details["type"] in _KINDS else []


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


def _hint(value: str, details: Sequence[ErrorDetails]) -> str:
    hints = [hint for one in details if (hint := one.get("ctx", {}).get("hint"))]
    if hints:
        return str(hints[0])
    expected = [_names(one).split(", ") for one in details if one["type"] == "literal_error"]
    return nearest_hint(value, expected[0]) if expected else ""
