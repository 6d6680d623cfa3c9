"""The base of every description: a frozen value that rejects unknown keys."""

from __future__ import annotations

import inspect
import re

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

_ATTRIBUTE = re.compile(r"^    (\w+): (.+?)(?=^    \w+: |\Z)", re.MULTILINE | re.DOTALL)


def explain(schema: JsonDict, model: type[BaseModel]) -> None:
    """Describe each key of a JSON Schema by the model's docstring, and drop what pydantic adds for programs."""
    texts = _attribute_texts(model)
    schema.pop("title", None)
    schema.pop("description", None)
    properties = schema.get("properties", {})
    assert isinstance(properties, dict)
    for name, own in properties.items():
        assert isinstance(own, dict)
        own.pop("title", None)
        own.pop("default", None)
        if name in texts:
            own["description"] = texts[name]


def _attribute_texts(model: type[BaseModel]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for ancestor in reversed(model.__mro__):
        _, _, attributes = (inspect.getdoc(ancestor) or "").partition("Attributes:\n")
        texts |= {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(attributes)}
    return texts


class Description(BaseModel):
    """A frozen, serialisable value. Equality is by content; unknown keys are errors; NaN is refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        json_schema_extra=explain,
    )


def without_unset(written: dict[str, object], *names: str) -> dict[str, object]:
    """Leave out what is not set, so that what was written before it could be set is written as before.

    >>> without_unset({"a": None, "b": None}, "b")
    {'a': None}
    """
    return {name: value for name, value in written.items() if value is not None or name not in names}


def without_empty(written: dict[str, object], *names: str) -> dict[str, object]:
    """Leave out collections that hold nothing, for the same reason.

    >>> without_empty({"a": [], "b": [], "c": [0]}, "b", "c")
    {'a': [], 'c': [0]}
    """
    return {name: value for name, value in written.items() if value or name not in names}
