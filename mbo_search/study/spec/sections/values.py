"""Single values of a study: numbers, intervals, choices and words, in the short forms that people write.

A bare number, a list or `400k` is accepted everywhere, in Python as in files; the values hold the long form.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeGuard

from pydantic import BeforeValidator, Discriminator, Field, StrictFloat, StrictInt, Tag

from mbo_search.study.spec import forms, json_forms
from mbo_search.study.spec.base import Description

Auto = Literal["auto"]
"""Settled by measuring when a study begins."""


class Range(Description):
    """An interval to search. Logarithmic for learning rates and weight decay, else linear.

    Attributes:
        low: Lower end, included.
        high: Upper end, included, above `low`.
    """

    low: StrictFloat
    high: StrictFloat


Number = Annotated[StrictFloat, Tag("number")]
"""The fixed one of the forms in which a number may be written."""

Interval = Annotated[Range, Tag("Range")]
"""The form of an interval."""

Numbers = Annotated[tuple[StrictFloat, ...], Field(min_length=1), Tag("choices")]
"""The form of a list of choices."""

Numeric = Annotated[
    Number | Interval | Numbers,
    Discriminator(forms.numeric, custom_error_type=forms.KIND, custom_error_message=forms.NUMERIC),
]
"""A number (fixed), an interval, or a list of choices."""

HparamValue = Annotated[
    Number
    | Annotated[str, Tag("name")]
    | Interval
    | Annotated[tuple[StrictFloat | str, ...], Field(min_length=1), Tag("choices")],
    Discriminator(forms.setting, custom_error_type=forms.KIND, custom_error_message=forms.SETTING),
]
"""One setting; a tuple is always a list of choices."""

HparamSpace = dict[str, HparamValue]
"""Settings by name."""

Words = Annotated[
    tuple[str, ...],
    Field(min_length=1),
    BeforeValidator(
        forms.one_or_more, json_schema_input_type=str | Annotated[tuple[str, ...], Field(min_length=1)]
    ),
]
"""A word or a list of words."""

NamedWords = Annotated[
    tuple[str, ...],
    Field(min_length=1),
    BeforeValidator(forms.one_or_more),
    json_forms.JsonForm(json_forms.sources),
]
"""Words that may have names, which a section keeps apart from them."""

MaybeWords = Annotated[
    tuple[str, ...], BeforeValidator(forms.one_or_more, json_schema_input_type=str | tuple[str, ...])
]
"""A word or a list of words, which may be empty."""

SuffixedCount = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?[kMB]?$")]
"""A count as a file may write it: `400k`, `2M`, `1B`."""

AS_COUNT = BeforeValidator(forms.count, json_schema_input_type=Annotated[int, Field(gt=0)] | SuffixedCount)
"""Reads a count in any form as a whole number."""

Count = Annotated[StrictInt, Field(gt=0, le=10**15), AS_COUNT]
"""A whole number above 0, which may be written `400k`, `2M` or `1B`."""

ScheduleTokens = Annotated[StrictInt, Field(gt=0, le=10**12), AS_COUNT]
"""Tokens of one schedule: a thousand times as many, as a schedule with more text may train on, can be recorded."""

BatchTokens = Annotated[StrictInt, Field(gt=0, le=10**9), AS_COUNT]
"""Tokens of one optimizer step."""

_Count = Annotated[int, Field(gt=0)] | SuffixedCount

_COUNTS = BeforeValidator(
    forms.one_or_more_numbers,
    json_schema_input_type=_Count | Annotated[tuple[_Count, ...], Field(min_length=1)],
)

BatchChoices = Annotated[tuple[BatchTokens, ...], Field(min_length=1), _COUNTS]
"""Tokens of one optimizer step, or a list of choices."""

ContextChoices = Annotated[tuple[Count, ...], Field(min_length=1), _COUNTS]
"""Tokens of one row, or a list of choices."""


def is_numeric(value: HparamValue) -> TypeGuard[Numeric]:
    """Tell whether a setting is a number, an interval or a list of numbers, rather than a name or names."""
    if isinstance(value, tuple):
        return all(isinstance(choice, float | int) for choice in value)
    return isinstance(value, float | int | Range)


def numbers_of(numeric: Numeric) -> tuple[float, ...]:
    """List the numbers that a setting names: itself, both ends of an interval, or all choices.

    >>> numbers_of(0.5), numbers_of(Range(low=1, high=2)), numbers_of((3.0, 4.0))
    ((0.5,), (1.0, 2.0), (3.0, 4.0))
    """
    if isinstance(numeric, Range):
        return (numeric.low, numeric.high)
    return numeric if isinstance(numeric, tuple) else (numeric,)
