"""Short forms of settings, as functions that pydantic runs before it looks at types.

Each takes whatever was written and gives the long form, or leaves what has no meaning for the types to refuse. None
looks deeper than its own level, so that all mistakes below are found as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pydantic import BaseModel
from pydantic_core import PydanticCustomError

from mbo_search.study.catalogue.lookup import CORPORA, MODEL_SIZES
from mbo_search.study.catalogue.suggestions import nearest_hint
from mbo_search.units import parse_count

RULE = "rule"
"""Error type whose message is a whole rule; its context may hold a hint, and the key that it is about."""

KIND = "kind"
"""Error type whose message names what is allowed, to be joined with what other members of a union allow."""

NUMERIC = "a number|a list of numbers|{low: ..., high: ...}"
LR = f"{NUMERIC}|{{relative: ...}}"
WEIGHT = f"{NUMERIC}|rest"
WEIGHT_DECAY = f"{NUMERIC}|{{timescale: ...}}"
CUSTOM = "a number|a name|true or false|a list of them|{low: ..., high: ...}"
CYCLE = "{blocks: ..., tokens: ...}|off"
SETTING = "a number|a name|a list of them|{low: ..., high: ...}"

PRESET_NUMBERS = ("layers", "width", "heads", "context")
"""Settings of a model that a preset gives."""

_NAMED_RULE = "must be a name, or a name with its settings such as {adamw: {beta2: 0.95}}"
_SETS_HINT = "write [[]] for none, [[{dropout: 0.1}]] for one set, [[], [{dropout: 0.1}]] for a choice"


def numeric(value: object) -> str | None:
    """Tell which form of a numeric setting was meant."""
    if isinstance(value, list | tuple):
        return "choices"
    if _keys(value) & {"low", "high"}:
        return "Range"
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else None


def lr(value: object) -> str | None:
    """Tell which form of a learning rate was meant."""
    return "RelativeLr" if "relative" in _keys(value) else numeric(value)


def weight_decay(value: object) -> str | None:
    """Tell which form of a weight decay was meant."""
    return "Timescale" if "timescale" in _keys(value) else numeric(value)


def setting(value: object) -> str | None:
    """Tell which form of an optimizer's or a shape's setting was meant."""
    return "name" if isinstance(value, str) else numeric(value)


def custom(value: object) -> str | None:
    """Tell which form of a setting of the user's own was meant."""
    if isinstance(value, bool | int | float | str):
        return "value"
    if isinstance(value, list | tuple):
        return "choices"
    return "CustomRange" if _keys(value) & {"low", "high"} else None


def cycle(value: object) -> str | None:
    """Tell whether blocks in turn were meant, or none."""
    if _keys(value):
        return "CycleChoice"
    return "off" if value == "off" else None


def count(value: object) -> object:
    """Read `400k`, `2M`, `1B` and `1e5`."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not (isinstance(value, str) and value[:1].isdigit()):
        return value
    try:
        return parse_count(value)
    except ValueError:
        raise _refusal("must be a whole number, such as 400000, 400k, 2M or 1B") from None


def one_or_more_numbers(value: object) -> object:
    """Read a single number as a list of one."""
    return value if isinstance(value, list | tuple) else [value]


def one_or_more(value: object) -> object:
    """Read a single word as a list of one."""
    return [value] if isinstance(value, str) else value


def listed(value: object) -> object:
    """Read anything but a list as a list of one."""
    return value if isinstance(value, list | tuple) else [value]


def names(value: object) -> object:
    """Read a bare name, or a mapping of names to settings, as a list."""
    if isinstance(value, Mapping):
        return [{name: settings} for name, settings in value.items()]
    return value if isinstance(value, list | tuple) else [value]


def named(name_key: str) -> Callable[[object], object]:
    """Make a reader of one name, bare or with its settings."""

    def read(value: object) -> object:
        if isinstance(value, BaseModel) or is_long(value):
            return value
        if isinstance(value, str):
            return {name_key: value}
        if not (isinstance(value, Mapping) and len(value) == 1):
            raise _refusal(_NAMED_RULE)
        ((name, settings),) = value.items()
        return {name_key: name, "hparams": {} if settings is None else settings}

    return read


def regularizer_sets(value: object) -> object:
    """Read a mapping as the only set."""
    if isinstance(value, Mapping):
        return [[value]]
    if not isinstance(value, list | tuple):
        raise _refusal("must be a list of sets of regularizers", _SETS_HINT)
    if not value:
        raise _refusal("is an empty choice", _SETS_HINT)
    return value


def regularizer_set(value: object) -> object:
    """Read a mapping of several regularizers as so many mappings of one."""
    if not isinstance(value, list | tuple):
        raise _refusal("must be a set of regularizers in brackets", _SETS_HINT)
    found: list[object] = []
    for item in value:
        is_short = isinstance(item, Mapping) and not is_long(item)
        found += [{kind: strength} for kind, strength in item.items()] if is_short else [item]
    return found


def regularizer(value: object) -> object:
    """Read `{dropout: 0.1}`."""
    if isinstance(value, BaseModel) or is_long(value):
        return value
    if not isinstance(value, Mapping):
        raise _refusal("must be a regularizer with its number, such as {dropout: 0.1}", _SETS_HINT)
    ((kind, strength),) = value.items()
    return {"kind": kind, "strength": strength}


def is_long(value: object) -> bool:
    """Tell whether a choice is already in the long form that pydantic writes."""
    keys = _keys(value)
    return {"name", "hparams"} == keys or {"kind", "hparams"} == keys or {"kind", "strength"} == keys


def model(value: object) -> object:
    """Replace `size: tiny` by the preset's numbers; other keys replace them one by one."""
    if not (isinstance(value, Mapping) and "size" in value):
        return value
    size = str(value["size"])
    if size not in MODEL_SIZES:
        rule = f"is not a model size; known are {', '.join(MODEL_SIZES)}"
        raise _refusal(rule, nearest_hint(size, MODEL_SIZES), at="size")
    preset = MODEL_SIZES[size]
    numbers = {key: getattr(preset, key) for key in PRESET_NUMBERS}
    return numbers | {key: number for key, number in value.items() if key != "size"}


def model_kind(value: object) -> str:
    """Tell which kind of model was meant; what names no other one is a fresh decoder."""
    if isinstance(value, BaseModel) and type(value).__name__ == "ForeignModel":
        return "ForeignModel"
    kinds = {"pretrained": "PretrainedSpec", "architecture": "ArchitectureSpec", "code": "OwnModuleSpec"}
    return next((kind for key, kind in kinds.items() if key in _keys(value)), "ModelSpec")


def with_own_tokenizer(value: object) -> object:
    """Give a pretrained model its own tokenizer, where a study names none."""
    if not isinstance(value, Mapping):
        return value
    model, data = value.get("model"), value.get("data")
    if not (isinstance(model, Mapping) and isinstance(data, Mapping)):
        return value
    if not isinstance(model.get("pretrained"), str) or "tokenizer" in data:
        return value
    return {**value, "data": {**data, "tokenizer": {"kind": "file", "path": model["pretrained"]}}}


def with_source_names(value: object) -> object:
    """Take the names out of `source: {docs: ./docs, chat: [a.txt, b.txt]}`, or of a list with such items."""
    source = value.get("source") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not _has_names(source):
        return value
    if value.get("source_names") is not None:
        raise _refusal("names sources that have names in data.source already", at="source_names")
    pairs = list(_named_sources(source))
    return {**value, "source": [entry for _, entry in pairs], "source_names": [name for name, _ in pairs]}


def _has_names(source: object) -> bool:
    items = source if isinstance(source, list | tuple) else [source]
    return any(isinstance(item, Mapping) for item in items)


def _named_sources(source: object) -> Iterator[tuple[object, object]]:
    """Every entry with its name; one without a name is called as it is written."""
    for item in source if isinstance(source, list | tuple) else [source]:
        named = item.items() if isinstance(item, Mapping) else [(item, item)]
        for name, entries in named:
            yield from ((name, entry) for entry in (entries if isinstance(entries, list | tuple) else [entries]))


def one_or_more_settings(value: object) -> object:
    """Read a single word or mapping as the only choice."""
    return [value] if isinstance(value, str | Mapping | BaseModel) else value


def order(value: object) -> str:
    """Tell a score from the word for none."""
    return "shuffled" if isinstance(value, str) else "ReadingOrder"


def mixture(value: object) -> str:
    """Tell a mixture from the word for the shares that the text has."""
    return "weights" if isinstance(value, Mapping) else "natural"


def weight(value: object) -> str | None:
    """Tell which form of the weight of a source was meant."""
    return "rest" if isinstance(value, str) else numeric(value)


def with_task(value: object) -> object:
    """Give a data section the task of its corpus of pairs, and tasks their default length of examples."""
    if not isinstance(value, Mapping):
        return value
    if value.get("task") is None:
        task = _own_task(value.get("source"))
        value = {**value, "task": task} if task else value
    if value.get("task") is None or "min_characters" in value:
        return value
    return {**value, "min_characters": 1}


def _own_task(source: object) -> Mapping[str, str] | None:
    """The task that all sources bring; None if they do not agree on one."""
    sources = [source] if isinstance(source, str) else source
    names = [str(one) for one in sources] if isinstance(sources, list | tuple) else []
    tasks = [CORPORA[name].task if name in CORPORA else None for name in names]
    return dict(tasks[0]) if tasks and tasks[0] and all(one == tasks[0] for one in tasks) else None


def tokenizer(value: object) -> object:
    """Read a bare word as the kind."""
    return {"kind": value} if isinstance(value, str) else value


def control(value: object) -> object:
    """Read a number as the share of the opponents."""
    return {"share": value} if isinstance(value, str | int | float) else value


def _keys(value: object) -> set[str]:
    if isinstance(value, BaseModel):
        return set(type(value).model_fields)
    return set(value) if isinstance(value, Mapping) else set()


def _refusal(rule: str, hint: str = "", at: str = "") -> PydanticCustomError:
    return PydanticCustomError(RULE, "{rule}", {"rule": rule, "hint": hint, "at": at})
