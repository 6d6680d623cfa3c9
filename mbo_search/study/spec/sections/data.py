"""The text of a study and its tokenizer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    StrictFloat,
    StrictInt,
    model_serializer,
    model_validator,
)

from mbo_search.study.spec import forms, json_forms
from mbo_search.study.spec.base import Description, without_unset
from mbo_search.study.spec.sections.values import MaybeWords, NamedWords, SuffixedCount, Words
from mbo_search.study.spec.task import TaskSpec


class TokenizerSpec(Description):
    """Tokenizer of a study.

    Attributes:
        kind: `bytes`, `bpe` (trained on the study's training text), or `file`.
        vocab_size: For `bpe`.
        path: For `file`: a `tokenizer.json`, a SentencePiece model, or a folder that holds one.
    """

    kind: Literal["bytes", "bpe", "file"] = "bpe"
    vocab_size: (
        Annotated[
            StrictInt,
            Field(ge=300, le=500_000),
            BeforeValidator(forms.count, json_schema_input_type=Annotated[int, Field(ge=300)] | SuffixedCount),
        ]
        | None
    ) = None
    path: str | None = None


class DataSpec(Description):
    """Text of a study: its sources, and how it is prepared.

    Attributes:
        source: Names of built-in corpora, files, folders, globs, or pre-tokenized `.bin` shards; in a file with
            names of your own where you like, such as `{docs: ./docs, chat: [a.txt, b.txt]}`.
        tokenizer: How text becomes tokens.
        dedup: Which duplicates are dropped before the split.
        text_field: Field or column of tables and .jsonl files that holds the text; `a.b` is a field in a field.
        min_characters: Shorter documents are dropped; a character of Chinese, Japanese, Korean, Thai and their like
            counts as four.
        validation: Separate validation files; None: split off by document hash.
        validation_share: Share of documents for validation when split by hash; the same again for test.
        task: What is asked of the model about rows with columns; None: it learns running text. Corpora of pairs
            bring a task of their own. With a task `min_characters` is 1 unless it is set.
        weights: The part of the training tokens that each entry of `source` gets, in any unit; None: what it has.
        scores: Columns of tables and .jsonl files that hold a number for each document, by which stages may read.
        source_names: Name of each entry of `source`, by which mixtures name it; several may have one. None: the
            text of the entries is not told apart. A study with mixtures calls entries without names as they are
            written.
    """

    source: NamedWords
    tokenizer: Annotated[
        TokenizerSpec,
        BeforeValidator(forms.tokenizer, json_schema_input_type=Literal["bytes"] | TokenizerSpec),
    ] = TokenizerSpec(kind="bpe", vocab_size=1024)
    dedup: Literal["none", "exact", "near"] = "exact"
    text_field: str = "text"
    min_characters: StrictInt = Field(default=32, ge=1, le=10**9)
    validation: MaybeWords | None = None
    validation_share: StrictFloat = Field(default=0.05, gt=0, lt=0.5)
    task: Annotated[TaskSpec, json_forms.TaskForms()] | None = None
    weights: dict[str, Annotated[StrictFloat, Field(gt=0, le=1e9)]] | None = None
    scores: Words | None = None
    source_names: Annotated[tuple[str, ...], Field(min_length=1)] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are read where there are any: that of the text and its scores, or those of the task."""
        return (self.text_field, *(self.scores or ())) if self.task is None else tuple(self.task.columns)

    @model_validator(mode="before")
    @classmethod
    def _with_task(cls, data: object) -> object:
        return forms.with_task(forms.with_source_names(data))

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_unset(write(self), "task", "weights", "scores", "source_names")


class ForeignText(DataSpec):
    """The text of a trainer that is not ours, which the study does not name."""

    source: tuple[str, ...] = ()
