"""The JSON Schema of a study file as people write it, short forms included, for editors and other programs.

The schema says what can be said without arithmetic: keys, types, ranges of single numbers, names. Rules between
settings are in `validation`; a file that the schema accepts may still break those.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping

from pydantic import BaseModel

from mbo_search.study.catalogue.entries import Hparam
from mbo_search.study.catalogue.lookup import MODEL_SIZES
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.spec.study import (
    BudgetSpec,
    ConfirmSpec,
    ControlSpec,
    DataSpec,
    EvaluationSpec,
    ModelSpec,
    ResourcesSpec,
    SearchSpec,
    StageDefaults,
    StageSpace,
    StoreSpec,
    Study,
    TokenizerSpec,
    TrainSpec,
)

Schema = dict[str, object]

_NULL: Schema = {"type": "null"}
_AUTO: Schema = {"const": "auto"}


def schema_text() -> str:
    """The schema as the text of `studies/study.schema.json`."""
    return json.dumps(study_schema(), indent=1, ensure_ascii=True) + "\n"


def study_schema() -> Schema:
    """The schema, JSON Schema 2020-12."""
    strategy = {name: _ref(name) for name in StageDefaults.model_fields}
    share = {"anyOf": [_ref("numeric"), {"const": "rest"}]}
    stage = _section(StageSpace, {**strategy, "share": share})
    patches: Mapping[str, Schema] = {
        "budget": _section(BudgetSpec, {"tokens": _count()}),
        "data": _section(
            DataSpec, {"source": _words(), "tokenizer": _tokenizer(), "validation": _or_null(_words())}
        ),
        "model": _model(),
        "train": _section(TrainSpec, {"batch_tokens": _count()}),
        "evaluation": _section(EvaluationSpec, {"tokens": _count()}),
        "reference_lr": {"type": "object", "additionalProperties": False, "properties": _reference_lrs()},
        "stage_defaults": _section(StageDefaults, strategy),
        "stages": {"type": "array", "minItems": 1, "items": stage},
        "search": _section(SearchSpec, {"budget": _or_null(_count())}),
        "baselines": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "control": {"anyOf": [_share(), _section(ControlSpec, {"share": _share()})]},
        "confirm": _or_null(_section(ConfirmSpec, {})),
        "resources": _section(
            ResourcesSpec, {"store": _section(StoreSpec, {"limit": {"anyOf": [_count(0), _AUTO]}})}
        ),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mbo-search study",
        **_section(Study, patches),
        "$defs": _definitions(),
    }


def _definitions() -> Schema:
    """Forms of strategy settings; a list is always choices, {low, high} an interval."""
    return {
        "numeric": _numeric_or(),
        "lr": {"anyOf": [_ref("numeric"), _object({"relative": _ref("numeric")}, required=["relative"])]},
        "warmup": _ref("numeric"),
        "weight_decay": _ref("numeric"),
        "clip_norm": _numeric_or("off"),
        "rewarm": _numeric_or("auto"),
        "optimizer": _named("optimizer_settings", OPTIMIZERS),
        "optimizer_settings": _settings({name: info.hparams for name, info in OPTIMIZERS.items()}),
        "lr_shape": _named("lr_shape_settings", LR_SHAPES),
        "lr_shape_settings": _settings({name: info.hparams for name, info in LR_SHAPES.items()}),
        "regularizers": _regularizers(),
        "trainable": _words(),
        "hand_over": _one_or_list({"enum": ["carry", "reset"]}),
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _object(properties: Mapping[str, object], required: list[str] | None = None) -> Schema:
    schema: Schema = {"type": "object", "additionalProperties": False, "properties": dict(properties)}
    return schema | ({"required": required} if required else {})


def _count(minimum: int = 1) -> Schema:
    """A whole number, or one with a suffix such as 400k, 2M, 1B."""
    suffixed = {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?[kMB]?$"}
    return {"anyOf": [{"type": "integer", "minimum": minimum}, suffixed]}


def _share() -> Schema:
    return {"type": "number", "minimum": 0, "exclusiveMaximum": 1}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, _NULL]}


def _one_or_list(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "array", "minItems": 1, "items": schema}]}


def _words() -> Schema:
    return _one_or_list({"type": "string"})


def _numeric_or(*words: str) -> Schema:
    number: Schema = {"type": "number"}
    interval = _object({"low": number, "high": number}, required=["low", "high"])
    forms: list[object] = [number, {"type": "array", "minItems": 1, "items": number}, interval]
    return {"anyOf": [*forms, *({"const": word} for word in words)]}


def _named(settings: str, known: Iterable[str]) -> Schema:
    """A name, a list of names and names with settings, or a mapping of names to settings."""
    name: Schema = {"enum": sorted(known)}
    one = {**_ref(settings), "maxProperties": 1}
    return {"anyOf": [name, _ref(settings), {"type": "array", "minItems": 1, "items": {"anyOf": [name, one]}}]}


def _settings(known: Mapping[str, Mapping[str, Hparam]]) -> Schema:
    """Names with their settings."""
    names: Schema = {
        name: _or_null(_object({key: _setting(info) for key, info in hparams.items()}))
        for name, hparams in known.items()
    }
    return {**_object(names), "minProperties": 1}


def _setting(info: Hparam) -> Schema:
    if info.choices:
        return {"description": info.summary, **_one_or_list({"enum": list(info.choices)})}
    return {"description": f"{info.summary}; default {info.default:g}", **_bounded(info.low, info.high)}


def _regularizers() -> Schema:
    strengths = {
        name: {"description": info.summary, **_bounded(info.low, info.high)} for name, info in REGULARIZERS.items()
    }
    mapping = {**_object(strengths), "minProperties": 1}
    one_set: Schema = {"type": "array", "items": mapping}
    return {"anyOf": [mapping, {"type": "array", "minItems": 1, "items": one_set}]}


def _bounded(low: float | None, high: float | None) -> Schema:
    """A number, choices or an interval within bounds."""
    bounds = {key: value for key, value in (("minimum", low), ("maximum", high)) if value is not None}
    number: Schema = {"type": "number", **bounds}
    interval = _object({"low": number, "high": number}, required=["low", "high"])
    return {"anyOf": [number, {"type": "array", "minItems": 1, "items": number}, interval]}


def _reference_lrs() -> Schema:
    return {name: {"type": "number", "exclusiveMinimum": 0} for name in OPTIMIZERS}


def _tokenizer() -> Schema:
    section = _section(TokenizerSpec, {"vocab_size": _or_null(_count(300))})
    return {"anyOf": [{"enum": ["bytes"]}, section]}


def _model() -> Schema:
    """All numbers, or a preset with some of them replaced."""
    section = _section(ModelSpec, {})
    properties = section["properties"]
    assert isinstance(properties, dict)
    with_size = {"size": {"enum": sorted(MODEL_SIZES)}, **properties}
    return {"anyOf": [section, _object(with_size, required=["size"])]}


def _section(model: type[BaseModel], patches: Mapping[str, object]) -> Schema:
    """A section's own schema with the short forms of some keys, and each key explained."""
    own = model.model_json_schema(mode="validation")
    texts = _attribute_texts(model)
    properties: Schema = {}
    for name in model.model_fields:
        schema = patches.get(name) or _without_titles(own["properties"][name])
        assert isinstance(schema, dict)
        text = texts.get(name)
        properties[name] = {**schema, "description": text} if text else schema
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    return _object(properties, required)


def _without_titles(schema: object) -> object:
    """Drop what pydantic adds for programs: titles, defaults."""
    if isinstance(schema, dict):
        return {key: _without_titles(value) for key, value in schema.items() if key not in ("title", "default")}
    return [_without_titles(item) for item in schema] if isinstance(schema, list) else schema


_ATTRIBUTE = re.compile(r"^    (\w+): (.+?)(?=^    \w+: |\Z)", re.MULTILINE | re.DOTALL)


def _attribute_texts(model: type[BaseModel]) -> dict[str, str]:
    """What the docstring of a model and of its base says of each attribute."""
    texts: dict[str, str] = {}
    for ancestor in reversed(model.__mro__):
        _, _, attributes = (inspect.getdoc(ancestor) or "").partition("Attributes:\n")
        texts |= {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(attributes)}
    return texts
