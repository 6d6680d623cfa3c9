"""From sources of text to clean, deduplicated documents of each split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbo_search.data.clean import clean_text, weighted_length
from mbo_search.data.dedup import DuplicateFilter
from mbo_search.data.document import Document
from mbo_search.data.metadata import SPLITS, DedupMetadata, DropReason, SourceMetadata, Split, with_counts
from mbo_search.data.progress import PrepareReporter, counted, tell_nobody
from mbo_search.data.readers import read_file
from mbo_search.data.sources import Source
from mbo_search.data.split import cut_documents, deal, held_out_splits, join_pieces, piece_limit
from mbo_search.data.too_little import check_enough
from mbo_search.errors import DataError, Problem
from mbo_search.study.spec.study import DataSpec

_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitText:
    """Documents ready to be tokenized.

    Attributes:
        splits: The documents of each split, in the order of the sources.
        sources: What was read.
        dedup: What was dropped.
    """

    splits: dict[Split, list[Document]]
    sources: tuple[SourceMetadata, ...]
    dedup: DedupMetadata


class _Drops:
    """Counts what is dropped, by reason."""

    def __init__(self) -> None:
        self.documents: dict[DropReason, int] = defaultdict(int)
        self.characters: dict[DropReason, int] = defaultdict(int)

    def add(self, reason: DropReason, document: Document) -> None:
        self.documents[reason] += 1
        self.characters[reason] += len(document.text)

    def metadata(self, spec: DataSpec, num_compared: int) -> DedupMetadata:
        known = DedupMetadata(
            kind=spec.dedup, too_short=0, exact=0, near=0, in_validation=0, num_compared=num_compared
        )
        return with_counts(known, self.documents, self.characters)


def read_splits(spec: DataSpec, sources: Sequence[Source], tell: PrepareReporter = tell_nobody) -> SplitText:
    """Read, clean, deduplicate and split the text of a study.

    Raises:
        DataError: With every file that cannot be read; or if no text is left, or too little to split.
    """
    read = _read(spec, sources, tell)
    drops = _Drops()
    kept = {role: _long_enough(documents, spec, drops) for role, documents in read.documents.items()}
    for role in read.documents:
        if not kept[role]:
            raise _no_text(role, spec, num_read=len(read.documents[role]))
    limit = piece_limit(sum(len(document.text) for document in kept["train"]))
    pieces = cut_documents(kept["train"], limit)
    fresh = _without_duplicates(spec, pieces, kept, drops=drops, tell=tell)
    dedup = drops.metadata(spec, len(pieces))
    held_out = held_out_splits(kept)
    check_enough(spec, held_out, len(fresh), dedup)
    dealt = _split(spec, fresh, held_out)
    given: dict[Split, list[Document]] = {
        split: list(kept[split]) for split in SPLITS if split in kept and split != "train"
    }
    return SplitText(splits=dealt | given, sources=read.sources, dedup=dedup)


@dataclass(frozen=True, slots=True)
class _Read:
    documents: dict[Split, list[Document]]
    sources: tuple[SourceMetadata, ...]


def _read(spec: DataSpec, sources: Sequence[Source], tell: PrepareReporter) -> _Read:
    documents: dict[Split, list[Document]] = {source.role: [] for source in sources}
    num_before = {source.role: 0 for source in sources}
    found: dict[int, SourceMetadata] = {}
    problems: list[Problem] = []
    streams = [
        (place, stream) for place, source in enumerate(sources) for stream in _streams(source, spec.text_field)
    ]
    for place, stream in counted(streams, "read", len(streams), tell):
        source = sources[place]
        if place not in found:
            num_before[source.role] = len(documents[source.role])
        try:
            documents[source.role].extend(stream)
        except DataError as error:
            problems.extend(error.problems)
        if len(problems) >= _MOST_PROBLEMS:
            raise DataError(problems)
        found[place] = _metadata(source, documents[source.role][num_before[source.role] :])
    if problems:
        raise DataError(problems)
    return _Read(documents, tuple(found.values()))


def _streams(source: Source, text_field: str) -> Iterator[Iterable[Document]]:
    """One stream of documents a file, so that a bad file does not hide the next one."""
    if source.corpus is not None:
        yield source.corpus.read()
    else:
        for file in source.files:
            yield read_file(file, text_field)


def _metadata(source: Source, documents: Sequence[Document]) -> SourceMetadata:
    return SourceMetadata(
        name=source.name,
        role=source.role,
        num_files=len(source.files),
        num_documents=len(documents),
        num_characters=sum(len(document.text) for document in documents),
        sha256=source.digest,
        passed_over=source.passed_over,
        notices=source.notices,
    )


def _long_enough(documents: Sequence[Document], spec: DataSpec, drops: _Drops) -> list[Document]:
    kept: list[Document] = []
    for document in documents:
        cleaned = replace(document, text=clean_text(document.text))
        if weighted_length(cleaned.text) >= spec.min_characters:
            kept.append(cleaned)
        else:
            drops.add("too_short" if cleaned.text.strip() else "empty", cleaned)
    return kept


def _no_text(role: Split, spec: DataSpec, *, num_read: int) -> DataError:
    rule = f"holds no text: of {num_read} documents none has {spec.min_characters} characters"
    hint = "give more text, or lower data.min_characters"
    key, value = ("data.validation", spec.validation) if role == "validation" else ("data.source", spec.source)
    return DataError([Problem(key=key, value=", ".join(value or spec.source), rule=rule, hint=hint)])


def _without_duplicates(
    spec: DataSpec,
    pieces: Sequence[Document],
    kept: dict[Split, list[Document]],
    *,
    drops: _Drops,
    tell: PrepareReporter,
) -> list[Document]:
    """Drop repetitions from the pieces of the training text.

    What separate validation or test text holds is dropped from training; that text itself stays as it is.
    """
    limit = piece_limit(sum(len(document.text) for document in kept["train"]))
    seen = DuplicateFilter(spec.dedup)
    for split in ("validation", "test"):
        for piece in cut_documents(kept.get(split, ()), limit):
            seen.add(piece.text, split)
    fresh: list[Document] = []
    for piece in counted(pieces, "compare", len(pieces), tell):
        repeat = seen.add(piece.text, "train")
        if repeat is None:
            fresh.append(piece)
        else:
            held_out: dict[str, DropReason] = {"validation": "in_validation", "test": "in_test"}
            drops.add(held_out.get(repeat.group, repeat.kind), piece)
    return fresh


def _split(
    spec: DataSpec, documents: Sequence[Document], held_out: tuple[Split, ...]
) -> dict[Split, list[Document]]:
    hashes = np.array([document.split_hash() for document in documents], dtype=np.uint64)
    sizes = np.array([len(document.text) for document in documents], dtype=np.int64)
    dealt = deal(hashes, sizes, share=spec.validation_share, held_out=held_out)
    return {name: join_pieces(documents[index] for index in indices) for name, indices in dealt.items()}
