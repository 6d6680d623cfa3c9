"""Pre-tokenized shards: opening them, checking them, and dealing their documents to the splits.

A shard `name.bin` holds little-endian token ids and nothing else, or a header of 256 32-bit integers as llm.c and
modded-nanogpt write it. The width of an id is, in this order: what the header says; `{"dtype": "uint16"}` or
`{"dtype": "uint32"}` in a file `name.json` beside it; 32 bits if every second 16-bit number is zero; 16 bits if the
tokenizer has at most 65,536 tokens, else 32. Whatever was found, ids of another width or byte order are refused.

Documents end at the tokenizer's end-of-document token. They are never decoded: equal documents are found by their
tokens, and lengths count tokens.
"""

from __future__ import annotations

import hashlib
import itertools
import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mbo_search.data.batches import TokenArray
from mbo_search.data.duplicates.repeats import Digests, no_repeats
from mbo_search.data.files.shard_formats import check_is_tokens, check_width, looks_like
from mbo_search.data.files.walk import shown
from mbo_search.data.metadata import (
    SPLITS,
    DedupMetadata,
    DropReason,
    SourceMetadata,
    Split,
    SplitMetadata,
    TokenWidth,
    WrittenSplits,
    with_counts,
)
from mbo_search.data.progress import PrepareReporter, counted, tell_nobody
from mbo_search.data.sources import Source
from mbo_search.data.split import deal, held_out_splits, piece_limit
from mbo_search.data.token_files import (
    TOKENS_AT_ONCE,
    count_tokens,
    document_ends,
    open_tokens,
    token_file,
    token_width,
    write_runs,
)
from mbo_search.data.tokenizer import Tokenizer
from mbo_search.data.too_little import check_enough
from mbo_search.errors import DataError, Problem
from mbo_search.study.spec.sections.data import DataSpec
from mbo_search.system.files import read_json

_HEADER_BYTES = 1024
_HEADER_WIDTHS: dict[int, TokenWidth] = {20240520: "uint16", 20240801: "uint32"}


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive tokens of a shard: a document with its end, or a piece of a long one."""

    shard: TokenArray
    start: int
    end: int
    ends_document: bool

    def tokens(self) -> TokenArray:
        return self.shard[self.start : self.end]

    def content(self) -> bytes:
        """The same bytes for the same ids, whatever the width of the shard."""
        return self.tokens().astype("<u4").tobytes()

    def continues(self, other: _Run) -> bool:
        return self.shard is other.shard and self.start == other.end and not other.ends_document


def write_shard_splits(
    spec: DataSpec,
    sources: Sequence[Source],
    tokenizer: Tokenizer,
    folder: Path,
    tell: PrepareReporter = tell_nobody,
) -> WrittenSplits:
    """Deal the documents of token shards to the splits and write the token files.

    Raises:
        DataError: With every shard that is damaged or foreign to the tokenizer; or if there is too little text.
    """
    shards = _open_all(sources, tokenizer.vocab_size, tell)
    limit = piece_limit(sum(len(tokens) for source, tokens in shards if source.role == "train"))
    runs: dict[Split, list[_Run]] = {source.role: [] for source in sources}
    for source, tokens in shards:
        runs[source.role].extend(_runs(tokens, tokenizer.eos_id, limit))
    fresh, dedup = _without_duplicates(spec, runs, tell)
    held_out = held_out_splits(runs)
    check_enough(spec, held_out, len(fresh), dedup)
    given = {split: runs[split] for split in SPLITS if split in runs and split != "train"}
    dealt = _deal(spec, fresh, held_out) | given
    splits = {
        split: _write(folder / token_file(split), dealt[split], tokenizer)
        for split in counted(SPLITS, "encode", len(SPLITS), tell)
    }
    return WrittenSplits(splits=splits, sources=_source_metadata(sources, shards, tokenizer.eos_id), dedup=dedup)


def open_shard(file: Path, vocab_size: int) -> TokenArray:
    """Map a shard into memory and check every token id.

    Raises:
        DataError: If the size, the format or an id is impossible.
    """
    check_is_tokens(file)
    width, offset_bytes, origin = _layout(file, vocab_size)
    num_bytes = file.stat().st_size - offset_bytes
    bytes_per_id = np.dtype(width).itemsize
    if num_bytes <= 0 or num_bytes % bytes_per_id:
        raise _problem(file, f"must hold whole {width} token ids, at least one, not {num_bytes} bytes ({origin})")
    tokens = open_tokens(file, width, offset_bytes=offset_bytes)
    for first in range(0, len(tokens), TOKENS_AT_ONCE):
        _check_ids(tokens[first : first + TOKENS_AT_ONCE], first, vocab_size, f"{shown(file)} ({width}, {origin})")
    return tokens


def _layout(file: Path, vocab_size: int) -> tuple[TokenWidth, int, str]:
    """Width of an id, bytes before the first one, and how they are known."""
    width = _width_of_header(file)
    if width is not None:
        return width, _HEADER_BYTES, "by its header"
    sidecar = file.with_suffix(".json")
    if sidecar.is_file():
        width = _width_of_sidecar(sidecar)
        check_width(file, width, vocab_size, f"by {sidecar.name}")
        return width, 0, f"by {sidecar.name}"
    if looks_like(file, "<u4", vocab_size):
        check_width(file, "uint32", vocab_size, "by its zeros")
        return "uint32", 0, "by its zeros"
    width, origin = token_width(vocab_size), f"by the tokenizer's {vocab_size} tokens"
    check_width(file, width, vocab_size, origin)
    return width, 0, origin


def _width_of_header(file: Path) -> TokenWidth | None:
    """Width if the file begins with a header whose count of tokens fits the file's size, else None."""
    with file.open("rb") as content:
        magic, _, num_tokens = struct.unpack("<3i", content.read(12).ljust(12, b"\0"))
    width = _HEADER_WIDTHS.get(magic)
    if width is None or file.stat().st_size != _HEADER_BYTES + num_tokens * np.dtype(width).itemsize:
        return None
    return width


def _width_of_sidecar(sidecar: Path) -> TokenWidth:
    try:
        content = read_json(sidecar)
    except ValueError as error:
        raise _problem(sidecar, f"is not JSON: {error}") from error
    dtype = content.get("dtype") if isinstance(content, dict) else None
    if dtype == "uint16":
        return "uint16"
    if dtype == "uint32":
        return "uint32"
    raise _problem(sidecar, f'must hold {{"dtype": "uint16"}} or {{"dtype": "uint32"}}, not {dtype!r}')


def _check_ids(tokens: TokenArray, first: int, vocab_size: int, where: str) -> None:
    if int(tokens.max()) < vocab_size:
        return
    place = int(np.argmax(tokens >= vocab_size))
    rule = f"is not a token of the tokenizer, which has {vocab_size} (token {first + place} of the shard)"
    hint = "check the tokenizer and the width of the ids"
    raise DataError([Problem(key="", value=str(int(tokens[place])), rule=rule, hint=hint, where=where)])


def _open_all(sources: Sequence[Source], vocab_size: int, tell: PrepareReporter) -> list[tuple[Source, TokenArray]]:
    shards: list[tuple[Source, TokenArray]] = []
    problems: list[Problem] = []
    files = [(source, file) for source in sources for file in source.files]
    for source, file in counted(files, "read", len(files), tell):
        try:
            shards.append((source, open_shard(file, vocab_size)))
        except DataError as error:
            problems.extend(error.problems)
    if problems:
        raise DataError(problems)
    return shards


def _runs(tokens: TokenArray, eos_id: int, limit: int) -> Iterator[_Run]:
    """Documents with their ends, long ones cut every `limit` tokens; empty documents are left out."""
    start = 0
    for end in (*document_ends(tokens, eos_id).tolist(), len(tokens)):
        is_empty = end - start == 0 or (end - start == 1 and tokens[start] == eos_id)
        if not is_empty:
            for first in range(start, end, limit):
                yield _Run(tokens, first, min(first + limit, end), ends_document=first + limit >= end)
        start = end


def _without_duplicates(
    spec: DataSpec, runs: dict[Split, list[_Run]], tell: PrepareReporter
) -> tuple[list[_Run], DedupMetadata]:
    train = runs["train"]
    held_out = [(split, run) for split in ("validation", "test") for run in runs.get(split, ())]
    groups: list[DropReason] = ["in_validation" if split == "validation" else "in_test" for split, _ in held_out]
    digests = Digests()
    for run in itertools.chain((run for _, run in held_out), counted(train, "compare", len(train), tell)):
        digests.add(run.content())
    repeats = no_repeats(len(groups) + len(train)) if spec.dedup == "none" else digests.repeats()
    fresh: list[_Run] = []
    counts: dict[DropReason, int] = dict.fromkeys(("exact", "in_validation", "in_test"), 0)
    tokens: dict[DropReason, int] = defaultdict(int)
    for run, earlier in zip(train, repeats.earlier[len(groups) :].tolist(), strict=True):
        if earlier < 0:
            fresh.append(run)
        else:
            reason: DropReason = groups[earlier] if earlier < len(groups) else "exact"
            counts[reason] += 1
            tokens[reason] += run.end - run.start
    known = DedupMetadata(kind=spec.dedup, too_short=0, exact=0, near=0, in_validation=0, num_compared=len(train))
    return fresh, with_counts(known, counts, tokens)


def _deal(spec: DataSpec, runs: Sequence[_Run], held_out: tuple[Split, ...]) -> dict[Split, list[_Run]]:
    hashes = np.array([_split_hash(run) for run in runs], dtype=np.uint64)
    sizes = np.array([run.end - run.start for run in runs], dtype=np.int64)
    dealt = deal(hashes, sizes, share=spec.validation_share, held_out=held_out)
    return {split: [runs[index] for index in indices] for split, indices in dealt.items()}


def _split_hash(run: _Run) -> int:
    return int.from_bytes(hashlib.blake2b(run.content(), digest_size=8).digest())


def _write(path: Path, runs: Sequence[_Run], tokenizer: Tokenizer) -> SplitMetadata:
    width = token_width(tokenizer.vocab_size)
    num_tokens, sha256 = write_runs(path, _separated(runs, tokenizer.eos_id), width)
    written = open_tokens(path, width)
    num_bytes = _num_bytes(written, tokenizer.byte_lengths())
    continued = sum(run.continues(before) for before, run in itertools.pairwise(runs))
    return SplitMetadata(
        num_documents=len(runs) - continued,
        num_tokens=num_tokens,
        num_bytes=num_bytes,
        bytes_per_token=num_bytes / num_tokens if num_tokens else None,
        sha256=sha256,
        num_unknown=count_tokens(written, tokenizer.unknown_id),
    )


def _separated(runs: Sequence[_Run], eos_id: int) -> Iterator[TokenArray]:
    """The runs' tokens, with an end-of-document token where a piece is not followed by its continuation."""
    for number, run in enumerate(runs):
        yield run.tokens()
        follower = runs[number + 1] if number + 1 < len(runs) else None
        is_continued = follower is not None and follower.continues(run)
        if not is_continued and run.shard[run.end - 1] != eos_id:
            yield np.array([eos_id], dtype=np.uint32)


def _num_bytes(tokens: TokenArray, byte_lengths: npt.NDArray[np.int64]) -> int:
    total = 0
    for first in range(0, len(tokens), TOKENS_AT_ONCE):
        total += int(byte_lengths[tokens[first : first + TOKENS_AT_ONCE]].sum())
    return total


def _source_metadata(
    sources: Sequence[Source], shards: Sequence[tuple[Source, TokenArray]], eos_id: int
) -> tuple[SourceMetadata, ...]:
    found: list[SourceMetadata] = []
    for source in sources:
        arrays = [tokens for owner, tokens in shards if owner is source]
        found.append(
            SourceMetadata(
                name=source.name,
                role=source.role,
                num_files=len(source.files),
                num_documents=sum(_num_documents(tokens, eos_id) for tokens in arrays),
                num_characters=sum(len(tokens) for tokens in arrays),
                sha256=source.digest,
                passed_over=source.passed_over,
                notices=source.notices,
            )
        )
    return tuple(found)


def _num_documents(tokens: TokenArray, eos_id: int) -> int:
    """Documents of a shard; the last one may have no end."""
    return len(document_ends(tokens, eos_id)) + (int(tokens[-1]) != eos_id)


def _problem(file: Path, rule: str) -> DataError:
    return DataError([Problem(key="", rule=rule, where=shown(file))])
