"""Settings of the user's own trainer: any name with a value, a list of choices, or a range.

They mean nothing to us and everything to the trainer. So a value keeps the type that it was written with: `8` is a
whole number, `8.0` is not, and `true` is no number at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    StrictBool,
    StrictFloat,
    StrictInt,
    Tag,
    model_serializer,
)

from mbo_search.study.spec import forms, json_forms
from mbo_search.study.spec.base import Description
from mbo_search.units import round_significant

CustomValue = StrictBool | StrictInt | StrictFloat | str
"""A value of a setting of the user's own."""

CustomKind = Literal["number", "name", "boolean"]


class CustomRange(Description):
    """An interval of numbers to search; of whole numbers where both ends are whole.

    Attributes:
        low: Lower end, included.
        high: Upper end, included, above `low`.
        log: Whether it is searched on a logarithmic scale.
    """

    low: StrictInt | StrictFloat
    high: StrictInt | StrictFloat
    log: StrictBool = False

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {name: value for name, value in write(self).items() if name != "log" or value}


def _of_one_type(values: tuple[CustomValue, ...]) -> tuple[CustomValue, ...]:
    """A list of numbers with a fraction among them is one of fractions."""
    numbers = [value for value in values if isinstance(value, float | int) and not isinstance(value, bool)]
    if len(numbers) < len(values) or not any(isinstance(value, float) for value in numbers):
        return values
    return tuple(float(value) for value in numbers)


CustomChoice = Annotated[
    Annotated[CustomValue, Tag("value")]
    | Annotated[tuple[CustomValue, ...], Field(min_length=1), AfterValidator(_of_one_type), Tag("choices")]
    | Annotated[CustomRange, Tag("CustomRange")],
    Discriminator(forms.custom, custom_error_type=forms.KIND, custom_error_message=forms.CUSTOM),
]
"""A value (fixed), a list of choices, or a range."""

CustomSpace = Annotated[dict[str, CustomChoice], json_forms.JsonForm(json_forms.custom)]
"""Settings of the user's own by name."""


def values_of(choice: CustomChoice) -> tuple[CustomValue, ...]:
    """List the values that a setting names: itself, all choices, or both ends of a range.

    >>> values_of("web"), values_of((8, 16)), values_of(CustomRange(low=0.0, high=0.3))
    (('web',), (8, 16), (0.0, 0.3))
    """
    if isinstance(choice, CustomRange):
        return (choice.low, choice.high)
    return choice if isinstance(choice, tuple) else (choice,)


def kind_of(value: CustomValue) -> CustomKind:
    """Tell what a value is.

    >>> kind_of(8), kind_of(True), kind_of("web")
    ('number', 'boolean', 'name')
    """
    if isinstance(value, bool):
        return "boolean"
    return "name" if isinstance(value, str) else "number"


def is_whole(choice: CustomChoice) -> bool:
    """Tell whether every number of a setting is a whole one."""
    return all(isinstance(value, int) for value in values_of(choice))


def as_fractions(choice: CustomChoice) -> CustomChoice:
    """The same numbers as fractions."""
    if isinstance(choice, CustomRange):
        return CustomRange(low=float(choice.low), high=float(choice.high), log=choice.log)
    return tuple(map(float, choice)) if isinstance(choice, tuple) else float(choice)


def first_value(choice: CustomChoice) -> CustomValue:
    """The value that an untuned schedule has: the value itself, the first of a list, or the middle of a range.

    The middle of whole numbers is rounded down; that of a logarithmic range is the geometric one.

    >>> first_value((8, 16)), first_value(CustomRange(low=1, high=4)), first_value(CustomRange(low=0.0, high=0.5))
    (8, 2, 0.25)
    """
    if not isinstance(choice, CustomRange):
        return values_of(choice)[0]
    if isinstance(choice.low, int) and isinstance(choice.high, int):
        return (choice.low + choice.high) // 2
    middle = (choice.low * choice.high) ** 0.5 if choice.log else (choice.low + choice.high) / 2
    return min(max(round_significant(middle), choice.low), choice.high)


def key_material(custom: Mapping[str, CustomValue]) -> dict[str, list[str]]:
    """Names with the types and exact values of settings, for content addresses.

    >>> key_material({"size": 8, "rate": 0.5, "flash": True})
    {'size': ['int', '8'], 'rate': ['float', '0x1.0000000000000p-1'], 'flash': ['bool', 'True']}
    """
    return {
        name: [type(value).__name__, value.hex() if isinstance(value, float) else str(value)]
        for name, value in custom.items()
    }
