"""The metadata of prepared data, `card.json`: contents, origin, and the fingerprint that names them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from mbo_search.study.spec.base import Description, without_unset

Split = Literal["train", "validation", "test"]
DropReason = Literal["empty", "too_short", "exact", "near", "in_validation", "in_test"]
PassReason = Literal[
    "suffix",
    "hidden",
    "not_a_file",
    "no_field",
    "named_elsewhere",
    "other_split",
    "beside_splits",
    "beside_dataset",
]
NoticeKind = Literal["shadowed_corpus", "splits_by_name", "without_license", "only_articles"]
TokenWidth = Literal["uint16", "uint32"]

SPLITS: tuple[Split, ...] = ("train", "validation", "test")

DROP_REASONS: tuple[DropReason, ...] = ("empty", "too_short", "exact", "near", "in_validation", "in_test")
"""Why documents are dropped, in the order in which they are looked at."""

MOST_NAMES = 20
"""Names of files that are kept for each reason; all are counted."""


class AskedMetadata(Description):
    """What a split of a task asks a model to predict.

    Attributes:
        num_tokens: Tokens that are asked for, the ends of the examples among them.
        num_bytes: UTF-8 bytes of the text that is asked for.
        sha256: SHA-256 of which tokens are asked for, and of where examples end.
    """

    num_tokens: int = Field(ge=0)
    num_bytes: int = Field(ge=0)
    sha256: str


class SplitMetadata(Description):
    """One split.

    Attributes:
        num_documents: Documents.
        num_tokens: Tokens, including one end-of-document token after each document.
        num_bytes: UTF-8 bytes of the text.
        bytes_per_token: Bytes of text per token; None for an empty split.
        sha256: SHA-256 of the token file.
        num_unknown: Tokens that stand for text which the tokenizer has no token for; None where nobody counted.
        asked: What is asked of a model; None for running text, where it is everything.
    """

    num_documents: int = Field(ge=0)
    num_tokens: int = Field(ge=0)
    num_bytes: int = Field(ge=0)
    bytes_per_token: float | None
    sha256: str
    num_unknown: int | None = Field(default=None, ge=0)
    asked: AskedMetadata | None = None

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_unset(write(self), "asked")

    @property
    def digest(self) -> str:
        """Names the tokens and what is asked about them; for running text, the digest of the tokens alone."""
        if self.asked is None:
            return self.sha256
        return hashlib.sha256(f"{self.sha256}{self.asked.sha256}".encode()).hexdigest()

    @property
    def unknown_share(self) -> float | None:
        """Share of the tokens that are unknown; None where nobody counted."""
        return None if self.num_unknown is None else self.num_unknown / max(1, self.num_tokens)


class PassedOver(Description):
    """Files of a folder or glob that were found but not read, for one reason.

    Attributes:
        reason: `suffix`: no reader knows the ending; `hidden`: the name begins with a dot; `not_a_file`: a broken
            link, a pipe or a device; `no_field`: a table without the text's column; `named_elsewhere`: it is read
            under another name or for another entry; `other_split`: belongs to a split that the study fills
            otherwise; `beside_splits`: not text of a split, in a folder whose files are named by splits;
            `beside_dataset`: lies in a saved dataset, but is not its data.
        num_files: Files; a hidden folder counts as one.
        names: The first `MOST_NAMES` of them, relative to the folder that the entry names.
    """

    reason: PassReason
    num_files: int = Field(ge=1)
    names: tuple[str, ...]


class Notice(Description):
    """Something about a source that its reader may not expect.

    Attributes:
        kind: `shadowed_corpus`: the name means a built-in corpus although a folder of that name exists;
            `splits_by_name`: its files went to splits by their names; `without_license`: the licence of Project
            Gutenberg around its books is left out; `only_articles`: of a dump of a wiki only articles are read.
        subject: The entry.
    """

    kind: NoticeKind
    subject: str


class SourceMetadata(Description):
    """One source of the study.

    Attributes:
        name: Name of the corpus, or of the file, folder or glob, without the folders above it.
        role: `train`: split by document hash; `validation`, `test`: the separate text of that split.
        num_files: Files read.
        num_documents: Documents read, before cleaning.
        num_characters: Characters read, before cleaning; tokens for shards.
        sha256: Digest of the files' names and contents.
        passed_over: Files found but not read, by reason; the first role of an entry has them.
        notices: What may not be expected.
        weight: The part of the training tokens that the study gives it, in any unit; None: what it has.
        num_train_tokens: Training tokens that it has got by its weight, repeated ones counted each time; None
            without a weight.
    """

    name: str
    role: Split
    num_files: int
    num_documents: int
    num_characters: int
    sha256: str
    passed_over: tuple[PassedOver, ...] = ()
    notices: tuple[Notice, ...] = ()
    weight: float | None = None
    num_train_tokens: int | None = Field(default=None, ge=0)

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_unset(write(self), "weight", "num_train_tokens")

    @property
    def num_found(self) -> int:
        """Files found, read or not."""
        return self.num_files + sum(passed.num_files for passed in self.passed_over)


class Dropped(Description):
    """Text that was dropped for one reason.

    Attributes:
        num_documents: Documents, or pieces of long ones.
        num_characters: Their characters; tokens for shards.
    """

    num_documents: int = Field(ge=0)
    num_characters: int = Field(ge=0)


class DedupMetadata(Description):
    """What cleaning and deduplication dropped.

    Attributes:
        kind: The study's choice.
        too_short: Documents dropped because they have text, but less of it than the study asks for.
        exact: Documents dropped because an earlier one is equal.
        near: Documents dropped because an earlier one is nearly equal.
        in_validation: Documents dropped because the separate validation text holds them.
        empty: Documents dropped because they hold no text at all.
        in_test: Documents dropped because the separate test text holds them.
        num_compared: Documents left when the empty and short ones were gone, each piece of a long one counted.
        num_characters: Characters dropped for each reason; tokens for shards. Empty where nobody counted.
    """

    kind: Literal["none", "exact", "near"]
    too_short: int
    exact: int
    near: int
    in_validation: int
    empty: int = 0
    in_test: int = 0
    num_compared: int = 0
    num_characters: dict[DropReason, int] = {}

    @property
    def dropped(self) -> dict[DropReason, Dropped]:
        """What was dropped for each reason for which anything was."""
        counts: dict[DropReason, int] = {reason: getattr(self, reason) for reason in DROP_REASONS}
        return {
            reason: Dropped(num_documents=count, num_characters=self.num_characters.get(reason, 0))
            for reason, count in counts.items()
            if count
        }

    @property
    def num_leaked(self) -> int:
        """Documents of the training text that would have leaked: validation or test text holds them."""
        return self.in_validation + self.in_test


def with_counts(
    known: DedupMetadata, documents: Mapping[DropReason, int], characters: Mapping[DropReason, int]
) -> DedupMetadata:
    """Put counts by reason into what is known."""
    counts: dict[str, int] = {reason: documents[reason] for reason in DROP_REASONS if documents.get(reason)}
    return known.model_copy(update={**counts, "num_characters": dict(characters)})


class OwnedRun(Description):
    """Consecutive training tokens of one source.

    Attributes:
        source: The name that the study gives the source.
        num_tokens: How many.
    """

    source: str
    num_tokens: int = Field(ge=1)


class ScoresMetadata(Description):
    """Scores of the training documents.

    Attributes:
        names: Their names, in the order of the columns of the file.
        sha256: SHA-256 of the file.
    """

    names: tuple[str, ...]
    sha256: str


class WrittenSplits(Description):
    """What was written to the token files.

    Attributes:
        splits: The splits.
        sources: What was read.
        dedup: What was dropped.
        labels: Labels of the training text, sorted; None unless the task is one of labels.
        runs: Whose the training tokens are, in their order; None unless the study names its sources.
        scores: Scores of the training documents; None unless the study names columns of them.
    """

    splits: dict[Split, SplitMetadata]
    sources: tuple[SourceMetadata, ...]
    dedup: DedupMetadata
    labels: tuple[str, ...] | None = None
    runs: tuple[OwnedRun, ...] | None = None
    scores: ScoresMetadata | None = None


class FileMetadata(Description):
    """One file of the prepared data.

    Attributes:
        size_bytes: Its size.
        sha256: Its digest.
    """

    size_bytes: int
    sha256: str


class DataMetadata(Description):
    """Everything that is known of prepared data.

    Attributes:
        schema_version: Version of this format.
        fingerprint: Names the tokens themselves: digest of the token files and the tokenizer, wherever they lie.
        tokenizer_kind: `bytes`, `bpe` or `file`.
        vocab_size: Token ids lie in [0, vocab_size).
        eos_id: The end-of-document token.
        dtype: Width of the token files, little-endian.
        splits: The splits.
        files: Size and digest of every other file, by its name relative to this one.
        sources: Where the text came from.
        dedup: What was dropped.
        versions: Versions of what may change the tokens.
        labels: Labels of the training text, sorted; None unless the task is one of labels.
        runs: Whose the training tokens are, in their order; None unless the study names its sources.
        scores: Scores of the training documents; None unless the study names columns of them.
    """

    schema_version: Literal["mbo-search/data/1"] = "mbo-search/data/1"
    fingerprint: str
    tokenizer_kind: Literal["bytes", "bpe", "file"]
    vocab_size: int = Field(gt=0)
    eos_id: int = Field(ge=0)
    dtype: TokenWidth
    splits: dict[Split, SplitMetadata]
    files: dict[str, FileMetadata]
    sources: tuple[SourceMetadata, ...]
    dedup: DedupMetadata
    versions: dict[str, str]
    labels: tuple[str, ...] | None = None
    runs: tuple[OwnedRun, ...] | None = None
    scores: ScoresMetadata | None = None

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_unset(write(self), "labels", "runs", "scores")

    @property
    def source_tokens(self) -> dict[str, int]:
        """Training tokens of each source that the study names; empty where it names none."""
        found: dict[str, int] = {}
        for run in self.runs or ():
            found[run.source] = found.get(run.source, 0) + run.num_tokens
        return found


def data_fingerprint(written: WrittenSplits, *, dtype: TokenWidth, tokenizer_sha256: str) -> str:
    """Name tokens by their content, with what is asked about them, whose they are, and scores, where known."""
    material: dict[str, object] = {name: split.digest for name, split in written.splits.items()}
    material |= {"dtype": dtype, "tokenizer": tokenizer_sha256}
    if written.runs is not None:
        material["runs"] = [[run.source, run.num_tokens] for run in written.runs]
    if written.scores is not None:
        material["scores"] = written.scores.model_dump(mode="json")
    return hashlib.sha256(json.dumps(material, sort_keys=True).encode()).hexdigest()
