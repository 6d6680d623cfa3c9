"""Models with fresh weights beside our own decoder: architectures of `transformers`, classes of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from pydantic import Field, JsonValue, StrictInt

from mbo_search.study.spec.network_facts import ModelDescription, NetworkFacts

_WIDTHS = ("hidden_size", "n_embd", "d_model", "dim")
"""Names that configurations of `transformers` have for the width."""


class ArchitectureSpec(ModelDescription):
    """Any architecture of `transformers` with fresh weights, drawn by its own rules from the study's seed.

    Attributes:
        architecture: Its name there, such as `qwen3`.
        config: Settings of its configuration; what is left out is the library's default. The number of tokens is
            the tokenizer's.
        context: Tokens that the model sees at once.
    """

    architecture: str
    config: dict[str, JsonValue] = {}
    context: StrictInt = Field(ge=8, le=1_048_576)

    @property
    def reference_width(self) -> int | None:
        """The width in its configuration, if it is given there."""
        widths = (self.config.get(name) for name in _WIDTHS)
        return next((width for width in widths if isinstance(width, int) and width > 0), None)


class ArchitectureModel(ArchitectureSpec, NetworkFacts):
    """The same with what was found by building it."""

    @property
    def key_material(self) -> dict[str, object]:
        """What decides its first weights."""
        return self.model_dump(mode="json", include={"context", "sha256"})


class OwnModuleSpec(ModelDescription):
    """A class of the user's own, in a Python file.

    Attributes:
        code: `FILE:CLASS`, such as `model.py:MyModel`; the class is called with `vocab_size`, `context` and the
            arguments.
        arguments: What the class is called with besides.
        context: Tokens that the model sees at once.
        width: Width by which reference learning rates scale; None: they are those of width 256.
    """

    code: str = Field(pattern=r"^.+\.py:[A-Za-z_]\w*$")
    arguments: dict[str, JsonValue] = {}
    context: StrictInt = Field(ge=8, le=1_048_576)
    width: StrictInt | None = Field(default=None, ge=1, le=1_048_576)

    @property
    def file(self) -> str:
        """The Python file."""
        return self.code.rpartition(":")[0]

    @property
    def class_name(self) -> str:
        """The class in it."""
        return self.code.rpartition(":")[2]

    @property
    def paths(self) -> dict[str, str]:
        """Its file."""
        return {"model.code": self.file}

    @property
    def reference_width(self) -> int | None:
        """As given."""
        return self.width

    def with_paths(self, change: Callable[[str], str]) -> Self:
        """Write the file in another way."""
        return self.model_copy(update={"code": f"{change(self.file)}:{self.class_name}"})


class OwnModule(OwnModuleSpec, NetworkFacts):
    """The same with what was found by building it."""

    width: int

    @property
    def library(self) -> str | None:
        """Whatever the file imports; its digest stands for it."""
        return None

    @property
    def key_material(self) -> dict[str, object]:
        """What decides its first weights; where the file lies does not."""
        return self.model_dump(mode="json", include={"arguments", "context", "sha256"})
