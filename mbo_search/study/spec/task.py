"""A task: which columns of its data a study gives to the model, and which it wants back.

A value names a column, or is a template such as `Question: {question}` with names of columns in braces. `{{` and
`}}` are braces themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import SerializerFunctionWrapHandler, StrictBool, model_serializer

from mbo_search.study.spec.base import Description, without_unset

TaskForm = Literal["completion", "messages", "label"]

FORMS: dict[TaskForm, tuple[str, ...]] = {
    "completion": ("prompt", "completion"),
    "messages": ("messages",),
    "label": ("text", "label"),
}
"""What each form of a task has to name."""

_PIECE = re.compile(r"\{\{|\}\}|\{\s*([^{}\s](?:[^{}]*[^{}\s])?)\s*\}")


class TaskSpec(Description):
    """A task on rows with columns: completions of prompts, answers in chats, or labels of texts.

    Attributes:
        prompt: What the model is given: a column, after which comes a line end, or a template.
        completion: What it must write: a column, or a template.
        messages: Column with a chat: a list of objects with a `role` and a `content`; each turn of the assistant is
            asked for.
        text: A text to be classified: a column, after which comes a line end, or a template.
        label: Its label: a column, or a template.
        group: Column or template; rows of one value land in one split. Rows of one prompt do so anyway.
        packing: Whether several short examples share a row of a batch.
    """

    prompt: str | None = None
    completion: str | None = None
    messages: str | None = None
    text: str | None = None
    label: str | None = None
    group: str | None = None
    packing: StrictBool = True

    @property
    def form(self) -> TaskForm:
        """The form whose columns are named."""
        return "messages" if self.messages is not None else "label" if self.label is not None else "completion"

    @property
    def named(self) -> Mapping[str, str]:
        """What names columns, by its key."""
        keys = (*(key for keys in FORMS.values() for key in keys), "group")
        return {key: value for key in keys if (value := getattr(self, key)) is not None}

    @property
    def columns(self) -> Mapping[str, str]:
        """Every column that is read, with the key that names it first."""
        found: dict[str, str] = {}
        for key, value in self.named.items():
            for column in columns_of(value):
                found.setdefault(column, key)
        return found

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_unset(write(self), *(key for keys in FORMS.values() for key in keys), "group")


def is_template(value: str) -> bool:
    """Tell a template from the name of a column.

    >>> is_template("question"), is_template("Question: {question}")
    (False, True)
    """
    return any(found[1] for found in _PIECE.finditer(value))


def columns_of(value: str) -> tuple[str, ...]:
    """Name the columns of a template, or the one column that is named.

    >>> columns_of("question"), columns_of("{title}: {question} {{sic}}")
    (('question',), ('title', 'question'))
    """
    return tuple(found[1] for found in _PIECE.finditer(value) if found[1]) if is_template(value) else (value,)


def fill(value: str, texts: Mapping[str, str]) -> str:
    """Put the texts of a row into a template, or give the text of the one column that is named.

    >>> fill("{a} is {{{b}}}", {"a": "x", "b": "y"}), fill("a", {"a": "x"})
    ('x is {y}', 'x')
    """
    if not is_template(value):
        return texts[value]
    return _PIECE.sub(lambda found: texts[found[1]] if found[1] else found[0][0], value)
