"""The JSON Schema of settings whose names and bounds are in the catalogue, and of a model's preset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mbo_search.study.catalogue.entries import Hparam
from mbo_search.study.catalogue.lookup import MODEL_SIZES
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.metrics import METRICS
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.catalogue.within_stage import changing_settings
from mbo_search.study.spec.task import FORMS

Schema = dict[str, object]


SHARED = ("optimizers", "optimizer settings", "lr_shapes", "lr_shape settings", "regularizers", "custom settings")
"""Titles of schemas that are used more than once."""


@dataclass(frozen=True, slots=True)
class JsonForm:
    """Annotation that replaces the schema of a type, made anew each time, so that it knows the whole catalogue.

    Attributes:
        make: Makes the schema.
    """

    make: Callable[[], Schema]

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Answer pydantic."""
        return self.make()


@dataclass(frozen=True, slots=True)
class ModelForm:
    """Annotation that allows a preset in place of a model's required numbers."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Answer pydantic."""
        numbers = handler(core)
        section = handler.resolve_ref_schema(numbers)
        size = {"enum": sorted(MODEL_SIZES), "description": "Preset; other keys replace its numbers."}
        return {
            "anyOf": [
                numbers,
                {**section, "properties": {"size": size, **section["properties"]}, "required": ["size"]},
            ]
        }


@dataclass(frozen=True, slots=True)
class TaskForms:
    """Annotation that asks for the columns of exactly one form of a task."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Answer pydantic."""
        required = [{"required": list(keys)} for keys in FORMS.values()]
        return {"allOf": [handler(core)], "oneOf": required}


def optimizers() -> Schema:
    """Names of optimizers, with their settings."""
    return _named("optimizer", {name: info.hparams for name, info in OPTIMIZERS.items()})


def lr_shapes() -> Schema:
    """Names of learning-rate shapes, with their settings."""
    return _named("lr_shape", {name: info.hparams for name, info in LR_SHAPES.items()})


def shapes() -> Schema:
    """Shapes by setting."""
    return _object({name: lr_shapes() for name in changing_settings()})


def reference_lrs() -> Schema:
    """Learning rates by optimizer."""
    return _object({name: {"type": "number", "exclusiveMinimum": 0} for name in OPTIMIZERS})


def regularizers() -> Schema:
    """Sets of regularizers."""
    strengths = {
        name: {"description": info.summary, **_bounded(info.low, info.high)} for name, info in REGULARIZERS.items()
    }
    mapping: Schema = {**_object(strengths), "minProperties": 1}
    one_set: Schema = {"type": "array", "items": mapping}
    return {"title": "regularizers", "anyOf": [mapping, {"type": "array", "minItems": 1, "items": one_set}]}


def custom() -> Schema:
    """Settings of the user's own: each a value, a list of values of one kind, or a range."""
    number: Schema = {"type": "number"}
    interval = _object({"low": number, "high": number, "log": {"type": "boolean"}}, required=("low", "high"))
    kinds: list[Schema] = [number, {"type": "boolean"}, {"type": "string", "minLength": 1}]
    lists = [{"type": "array", "minItems": 1, "items": kind} for kind in kinds]
    return {
        "title": "custom settings",
        "type": "object",
        "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,63}$"},
        "additionalProperties": {"anyOf": [*kinds, *lists, interval]},
    }


def sources() -> Schema:
    """A source, a list of sources some of which have names, or a mapping of names to sources."""
    word: Schema = {"type": "string"}
    words: Schema = {"type": "array", "minItems": 1, "items": word}
    named: Schema = {"type": "object", "minProperties": 1, "additionalProperties": {"anyOf": [word, words]}}
    return {"anyOf": [word, {"type": "array", "minItems": 1, "items": {"anyOf": [word, named]}}, named]}


def mixtures() -> Schema:
    """Shares of sources by name, the word for those of the text, or a list of these."""
    number: Schema = {"type": "number", "minimum": 0}
    interval = _object({"low": number, "high": number}, required=("low", "high"))
    choices: Schema = {"type": "array", "minItems": 1, "items": number}
    weight: Schema = {"anyOf": [number, choices, interval, {"const": "rest"}]}
    weights: Schema = {"type": "object", "minProperties": 1, "additionalProperties": weight}
    return _one_or_list({"anyOf": [{"const": "natural"}, weights]})


def metrics() -> Schema:
    """A metric, or a list of metrics."""
    return _one_or_list({"enum": sorted(METRICS)})


def objectives() -> Schema:
    """What a search is for: the loss or a metric, and seconds beside it."""
    return {"type": "array", "minItems": 1, "items": {"enum": ["loss", "seconds", *sorted(METRICS)]}}


def _named(what: str, known: Mapping[str, Mapping[str, Hparam]]) -> Schema:
    """A name, a list of names and names with settings, or a mapping of names to settings."""
    name: Schema = {"enum": sorted(known)}
    settings = {
        name: {"anyOf": [_object({key: _setting(info) for key, info in hparams.items()}), {"type": "null"}]}
        for name, hparams in known.items()
    }
    mapping: Schema = {"title": f"{what} settings", **_object(settings), "minProperties": 1}
    one: Schema = {"allOf": [mapping], "maxProperties": 1}
    choices: Schema = {"type": "array", "minItems": 1, "items": {"anyOf": [name, one]}}
    return {"title": f"{what}s", "anyOf": [name, mapping, choices]}


def _setting(info: Hparam) -> Schema:
    if info.choices:
        return {"description": info.summary, **_one_or_list({"enum": list(info.choices)})}
    return {"description": f"{info.summary}; default {info.default:g}", **_bounded(info.low, info.high)}


def _bounded(low: float | None, high: float | None) -> Schema:
    """A number, choices or an interval within bounds."""
    bounds = {key: value for key, value in (("minimum", low), ("maximum", high)) if value is not None}
    number: Schema = {"type": "number", **bounds}
    interval = _object({"low": number, "high": number}, required=("low", "high"))
    return {"anyOf": [number, {"type": "array", "minItems": 1, "items": number}, interval]}


def _one_or_list(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "array", "minItems": 1, "items": schema}]}


def _object(properties: Mapping[str, object], required: Iterable[str] = ()) -> Schema:
    schema: Schema = {"type": "object", "additionalProperties": False, "properties": dict(properties)}
    return schema | ({"required": list(required)} if required else {})
