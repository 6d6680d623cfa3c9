"""From sources of text to clean, deduplicated documents of each split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbo_search.data.clean import clean_text
from mbo_search.data.dedup import DuplicateFilter
from mbo_search.data.document import Document
from mbo_search.data.metadata import DedupMetadata, SourceMetadata, Split
from mbo_search.data.readers import read_file
from mbo_search.data.sources import Role, Source
from mbo_search.data.split import cut_documents, deal, join_pieces, piece_limit
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


def read_splits(spec: DataSpec, sources: Sequence[Source]) -> SplitText:
    """Read, clean, deduplicate and split the text of a study.

    Raises:
        DataError: With every file that cannot be read; or if no text is left, or too little to split.
    """
    read = _read(spec, sources)
    long_enough = {role: _long_enough(documents, spec) for role, documents in read.documents.items()}
    too_short = sum(len(documents) for documents in read.documents.values()) - sum(map(len, long_enough.values()))
    for role in read.documents:
        if not long_enough[role]:
            raise _no_text(role, spec, num_read=len(read.documents[role]))
    train, counts = _without_duplicates(spec, long_enough["train"], long_enough.get("validation", []))
    splits = _split(spec, train, long_enough.get("validation"))
    dedup = DedupMetadata(kind=spec.dedup, too_short=too_short, **counts)
    return SplitText(splits=splits, sources=read.sources, dedup=dedup)


@dataclass(frozen=True, slots=True)
class _Read:
    documents: dict[Role, list[Document]]
    sources: tuple[SourceMetadata, ...]


def _read(spec: DataSpec, sources: Sequence[Source]) -> _Read:
    documents: dict[Role, list[Document]] = {source.role: [] for source in sources}
    found: list[SourceMetadata] = []
    problems: list[Problem] = []
    for source in sources:
        num_before = len(documents[source.role])
        for stream in _streams(source, spec.text_field):
            try:
                documents[source.role].extend(stream)
            except DataError as error:
                problems.extend(error.problems)
            if len(problems) >= _MOST_PROBLEMS:
                raise DataError(problems)
        found.append(_metadata(source, documents[source.role][num_before:]))
    if problems:
        raise DataError(problems)
    return _Read(documents, tuple(found))


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
    )


def _long_enough(documents: Sequence[Document], spec: DataSpec) -> list[Document]:
    cleaned = (replace(document, text=clean_text(document.text)) for document in documents)
    return [document for document in cleaned if len(document.text) >= spec.min_characters]


def _no_text(role: Role, spec: DataSpec, *, num_read: int) -> DataError:
    rule = f"holds no text: of {num_read} documents none has {spec.min_characters} characters"
    hint = "give more text, or lower data.min_characters"
    key, value = ("data.source", spec.source) if role == "train" else ("data.validation", spec.validation or ())
    return DataError([Problem(key=key, value=", ".join(value), rule=rule, hint=hint)])


def _without_duplicates(
    spec: DataSpec, train: Sequence[Document], validation: Sequence[Document]
) -> tuple[list[Document], dict[str, int]]:
    """Cut training text into pieces and drop repetitions.

    What the separate validation text holds is dropped from training; validation itself stays as it is.
    """
    limit = piece_limit(sum(len(document.text) for document in train))
    seen = DuplicateFilter(spec.dedup)
    for piece in cut_documents(validation, limit):
        seen.add(piece.text, "validation")
    counts = {"exact": 0, "near": 0, "in_validation": 0}
    fresh: list[Document] = []
    for piece in cut_documents(train, limit):
        repeat = seen.add(piece.text, "train")
        if repeat is None:
            fresh.append(piece)
        else:
            counts["in_validation" if repeat.group == "validation" else repeat.kind] += 1
    return fresh, counts


def _split(
    spec: DataSpec, documents: Sequence[Document], validation: Sequence[Document] | None
) -> dict[Split, list[Document]]:
    hashes = np.array([document.split_hash() for document in documents], dtype=np.uint64)
    sizes = np.array([len(document.text) for document in documents], dtype=np.int64)
    dealt = deal(hashes, sizes, share=spec.validation_share, has_validation=validation is not None)
    splits = {name: join_pieces(documents[index] for index in indices) for name, indices in dealt.items()}
    return splits if validation is None else splits | {"validation": list(validation)}
