"""The metadata of prepared data, `card.json`: contents, origin, and the fingerprint that names them."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import Field

from mbo_search.study.spec.base import Description

Split = Literal["train", "validation", "test"]
TokenWidth = Literal["uint16", "uint32"]

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class SplitMetadata(Description):
    """One split.

    Attributes:
        num_documents: Documents.
        num_tokens: Tokens, including one end-of-document token after each document.
        num_bytes: UTF-8 bytes of the text.
        bytes_per_token: Bytes of text per token; None for an empty split.
        sha256: SHA-256 of the token file.
    """

    num_documents: int = Field(ge=0)
    num_tokens: int = Field(ge=0)
    num_bytes: int = Field(ge=0)
    bytes_per_token: float | None
    sha256: str


class SourceMetadata(Description):
    """One source of the study.

    Attributes:
        name: Name of the corpus, or of the file, folder or glob, without the folders above it.
        role: `train`: split by document hash; `validation`: the separate validation text.
        num_files: Files read.
        num_documents: Documents read, before cleaning.
        num_characters: Characters read, before cleaning; tokens for shards.
        sha256: Digest of the files' names and contents.
    """

    name: str
    role: Literal["train", "validation"]
    num_files: int
    num_documents: int
    num_characters: int
    sha256: str


class DedupMetadata(Description):
    """What cleaning and deduplication dropped.

    Attributes:
        kind: The study's choice.
        too_short: Documents dropped because they have fewer characters than the study asks for.
        exact: Documents dropped because an earlier one is equal.
        near: Documents dropped because an earlier one is nearly equal.
        in_validation: Documents dropped because the separate validation text holds them.
    """

    kind: Literal["none", "exact", "near"]
    too_short: int
    exact: int
    near: int
    in_validation: int


class WrittenSplits(Description):
    """What was written to the token files.

    Attributes:
        splits: The splits.
        sources: What was read.
        dedup: What was dropped.
    """

    splits: dict[Split, SplitMetadata]
    sources: tuple[SourceMetadata, ...]
    dedup: DedupMetadata


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


def data_fingerprint(splits: dict[Split, SplitMetadata], *, dtype: TokenWidth, tokenizer_sha256: str) -> str:
    """Name tokens by their content."""
    material = {name: split.sha256 for name, split in splits.items()} | {
        "dtype": dtype,
        "tokenizer": tokenizer_sha256,
    }
    return hashlib.sha256(json.dumps(material, sort_keys=True).encode()).hexdigest()
