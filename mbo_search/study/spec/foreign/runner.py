"""Who trains, where it is not the built-in trainer: a command, code in a file, or an object of the calling program.

What is trained, and on which text, is then that trainer's own affair: the study names neither.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, StrictBool, StrictInt, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from mbo_search.study.spec import forms
from mbo_search.study.spec.base import Description, without_unset
from mbo_search.study.spec.network_facts import ModelDescription

RunnerKind = Literal["command", "code", "python"]


class RunnerSpec(Description):
    """A trainer of the user's own; exactly one of `command`, `code` and `python` says which.

    Attributes:
        command: A command line, or its words; it is started without a shell, in `folder`.
        code: `FILE:NAME`, such as `train.py:train`: a function that trains one span, or a class of runners.
        python: Name of what a program passes as `runner` or `train`; only such a program can train the study.
        folder: Where a command starts.
        reuse: Whether it keeps states, so that what schedules have in common is trained once; else it trains whole
            schedules.
        version: To be raised when anything changes that the study does not name, such as its text.
        parameters: Weights of its model, for the report; None: not told.
        width: Width of its model, by which reference learning rates scale; None: they are those of width 256.
    """

    command: str | tuple[str, ...] | None = None
    code: str | None = Field(default=None, pattern=r"^.+\.py:[A-Za-z_]\w*$")
    python: str | None = Field(default=None, min_length=1, max_length=200)
    folder: str = "."
    reuse: StrictBool = True
    version: str = ""
    parameters: StrictInt | None = Field(default=None, gt=0, le=10**15)
    width: StrictInt | None = Field(default=None, ge=1, le=1_048_576)

    @model_validator(mode="before")
    @classmethod
    def _with_count(cls, data: object) -> object:
        if isinstance(data, dict) and "parameters" in data:
            return {**data, "parameters": forms.count(data["parameters"])}
        return data

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        named = [name for name in ("command", "code", "python") if getattr(self, name) is not None]
        if len(named) != 1:
            found = f"names {' and '.join(named)}" if named else "names none of them"
            rule = f"must name exactly one of command, code and python; it {found}"
            hint = "such as {command: python train.py}"
            raise PydanticCustomError(forms.RULE, "{rule}", {"rule": rule, "hint": hint, "at": ""})
        if self.command is not None and not self.words:
            rule = "is empty, or has a quote without its end"
            raise PydanticCustomError(forms.RULE, "{rule}", {"rule": rule, "hint": "", "at": "command"})
        return self

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_unset(write(self), "command", "code", "python", "parameters", "width")

    @property
    def kind(self) -> RunnerKind:
        """Which of the three it is."""
        return "command" if self.command is not None else "code" if self.code is not None else "python"

    @property
    def words(self) -> tuple[str, ...]:
        """The words of its command; none if a quote in it has no end."""
        if not isinstance(self.command, str):
            return self.command or ()
        try:
            return tuple(shlex.split(self.command))
        except ValueError:
            return ()

    @property
    def file(self) -> str:
        """The Python file of its code."""
        return (self.code or "").rpartition(":")[0]

    @property
    def name(self) -> str:
        """What it is called in logs and reports."""
        return self.python or (self.code or "").rpartition(":")[2] or " ".join(self.words)

    def with_paths(self, change: Callable[[str], str]) -> Self:
        """Write its folder and its file in another way."""
        code = self.code and f"{change(self.file)}:{self.name}"
        return self.model_copy(update={"folder": change(self.folder), "code": code})


class ForeignModel(ModelDescription):
    """The model of a trainer that is not ours: what the study tells of it."""

    parameters: int | None = None
    width: int | None = None

    @property
    def context(self) -> int:
        """Nothing depends on it."""
        return 1

    @property
    def reference_width(self) -> int | None:
        """As given."""
        return self.width
