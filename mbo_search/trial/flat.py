"""Values that are made of groups of fields, and whose JSON form is flat."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer, model_validator

from mbo_search.study.spec.base import Description, without_empty


class Flat(Description):
    """A description in which some fields are descriptions themselves and stand flat among the others in JSON.

    Groups may be given whole or field by field; what is written has no groups, and lacks the collections that are
    `absent_when_empty`, so that what earlier versions wrote and what this one writes look the same.

    >>> from mbo_search.trial.cost import Cost
    >>> class Run(Flat):
    ...     groups: ClassVar = ("cost",)
    ...     name: str
    ...     cost: Cost = Cost()
    >>> run = Run(name="first", cost=Cost(executed_tokens=96))
    >>> run.model_dump(exclude_defaults=True)
    {'name': 'first', 'executed_tokens': 96}
    >>> Run.model_validate({"name": "first", "executed_tokens": 96}) == run
    True
    """

    groups: ClassVar[tuple[str, ...]] = ()
    absent_when_empty: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        rest = dict(fields)
        for name in cls.groups:
            if name not in rest:
                rest[name] = {key: rest.pop(key) for key in _json_keys(_group(cls, name)) if key in rest}
        return rest

    @model_serializer(mode="wrap")
    def _flatten(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        flat: dict[str, Any] = {}
        for name, value in handler(self).items():
            flat |= value if name in self.groups else {name: value}
        return without_empty(flat, *self.absent_when_empty)


def _json_keys(cls: type[BaseModel]) -> list[str]:
    groups = cls.groups if issubclass(cls, Flat) else ()
    inner = [key for name in groups for key in _json_keys(_group(cls, name))]
    return [*inner, *(name for name in cls.model_fields if name not in groups)]


def _group(cls: type[BaseModel], name: str) -> type[BaseModel]:
    found = cls.model_fields[name].annotation
    assert isinstance(found, type)
    assert issubclass(found, BaseModel)
    return found
