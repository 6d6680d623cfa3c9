"""From sources of text to clean, deduplicated documents of each split.

Text lies in scratch files meanwhile; in memory are one document, or a part of a long one, and a few numbers of the
others.
"""

from __future__ import annotations

import itertools
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mbo_search.data.clean import cleaned, weighted_length
from mbo_search.data.document import Document, grouped
from mbo_search.data.duplicates.repeats import Repeats, find_repeats
from mbo_search.data.metadata import SPLITS, DedupMetadata, DropReason, SourceMetadata, Split, with_counts
from mbo_search.data.mixing.document_scores import read_scored
from mbo_search.data.progress import PrepareReporter, counted, tell_nobody
from mbo_search.data.readers import read_file
from mbo_search.data.sources import Source
from mbo_search.data.split import cut_document, deal, held_out_splits, piece_limit
from mbo_search.data.stored.document_files import DocumentFile, Record
from mbo_search.data.stored.stored_documents import PieceTable, StoredDocuments
from mbo_search.data.too_little import check_enough
from mbo_search.errors import DataError, Problem
from mbo_search.study.spec.sections.data import DataSpec

_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitText:
    """Documents ready to be tokenized.

    Attributes:
        splits: The documents of each split, in the order of the sources.
        num_characters: Characters of all that was kept, duplicates included.
        train_owners: The number of the source of each training document.
        sources: What was read.
        dedup: What was dropped.
    """

    splits: dict[Split, StoredDocuments]
    num_characters: int
    train_owners: npt.NDArray[np.int32]
    sources: tuple[SourceMetadata, ...]
    dedup: DedupMetadata


class _Drops:
    """Counts what is dropped, by reason."""

    def __init__(self) -> None:
        self.documents: dict[DropReason, int] = defaultdict(int)
        self.characters: dict[DropReason, int] = defaultdict(int)

    def add(self, reason: DropReason, num_characters: int, num_documents: int = 1) -> None:
        self.documents[reason] += num_documents
        self.characters[reason] += num_characters

    def metadata(self, spec: DataSpec, num_compared: int) -> DedupMetadata:
        known = DedupMetadata(
            kind=spec.dedup, too_short=0, exact=0, near=0, in_validation=0, num_compared=num_compared
        )
        return with_counts(known, self.documents, self.characters)


@dataclass(slots=True)
class _Kept:
    """The documents of a role that are long enough, and where in their file each part lies."""

    file: DocumentFile
    places: array[int] = field(default_factory=lambda: array("q"))
    begins: array[int] = field(default_factory=lambda: array("b"))
    owners: array[int] = field(default_factory=lambda: array("i"))
    num_characters: int = 0

    def add(self, part: Document, owner: int) -> None:
        if part.part == 0:
            self.owners.append(owner)
        self.places.append(self.file.add(part))
        self.begins.append(part.part == 0)
        self.num_characters += len(part.text)

    @property
    def num_documents(self) -> int:
        return len(self.owners)

    def documents(self) -> StoredDocuments:
        begins = np.frombuffer(self.begins, dtype=np.int8).astype(bool)
        return StoredDocuments(self.file, np.frombuffer(self.places, dtype=np.int64), begins)


@dataclass(slots=True)
class _Tally:
    """What was read of a source."""

    num_documents: int = 0
    num_characters: int = 0

    def counted(self, parts: Iterable[Document]) -> Iterator[Document]:
        for part in parts:
            self.num_documents += part.part == 0
            self.num_characters += len(part.text)
            yield part


@contextmanager
def read_splits(
    spec: DataSpec, sources: Sequence[Source], scratch: Path, tell: PrepareReporter = tell_nobody
) -> Iterator[SplitText]:
    """Read, clean, deduplicate and split the text of a study; it can be read while the context lasts.

    Args:
        spec: The study's data section.
        sources: What is read.
        scratch: An empty folder for the text.
        tell: Told how far the work has come.

    Raises:
        DataError: With every file that cannot be read; or if no text is left, or too little to split.
    """
    with ExitStack() as files:
        roles = dict.fromkeys(source.role for source in sources)
        kept = {role: _Kept(files.enter_context(closing(DocumentFile(scratch / role)))) for role in roles}
        drops = _Drops()
        tallies = _read(spec, sources, kept, drops=drops, tell=tell)
        for role, found in kept.items():
            if not found.places:
                num_read = sum(
                    tally.num_documents for place, tally in tallies.items() if sources[place].role == role
                )
                raise _no_text(role, spec, num_read=num_read)
        fresh, pieces = _without_duplicates(spec, kept, scratch, drops=drops, tell=tell)
        dedup = drops.metadata(spec, len(pieces))
        held_out = held_out_splits(kept)
        check_enough(spec, held_out, len(fresh), dedup)
        given: dict[Split, StoredDocuments] = {
            split: kept[split].documents() for split in SPLITS if split in kept and split != "train"
        }
        dealt = _split(spec, fresh, pieces, held_out)
        chosen = {split: pieces.chosen(kept["train"].file, numbers) for split, numbers in dealt.items()}
        yield SplitText(
            splits=chosen | given,
            train_owners=np.frombuffer(pieces.owners, dtype=np.int32)[dealt["train"]][chosen["train"].begins],
            num_characters=sum(found.num_characters for found in kept.values()),
            sources=tuple(_metadata(sources[place], tally) for place, tally in tallies.items()),
            dedup=dedup,
        )


def _read(
    spec: DataSpec, sources: Sequence[Source], kept: dict[Split, _Kept], *, drops: _Drops, tell: PrepareReporter
) -> dict[int, _Tally]:
    """Read everything and keep what is long enough; returns what was read of each source."""
    tallies: dict[int, _Tally] = {}
    problems: list[Problem] = []
    streams = [(place, stream) for place, source in enumerate(sources) for stream in _streams(source, spec)]
    for place, stream in counted(streams, "read", len(streams), tell):
        tally = tallies.setdefault(place, _Tally())
        try:
            for document in grouped(tally.counted(stream), _part):
                for part in _long_enough(document, spec, drops):
                    kept[sources[place].role].add(part, place)
        except DataError as error:
            problems.extend(error.problems)
        if len(problems) >= _MOST_PROBLEMS:
            raise DataError(problems)
    if problems:
        raise DataError(problems)
    return tallies


def _streams(source: Source, spec: DataSpec) -> Iterator[Iterable[Document]]:
    """One stream of documents a file, so that a bad file does not hide the next one."""
    if source.corpus is not None:
        yield source.corpus.read()
    else:
        for file in source.files:
            scores = spec.scores if source.role == "train" else None
            yield read_scored(file, spec.text_field, scores) if scores else read_file(file, spec.text_field)


def _part(document: Document) -> int:
    return document.part


def _metadata(source: Source, tally: _Tally) -> SourceMetadata:
    return SourceMetadata(
        name=source.name,
        role=source.role,
        num_files=len(source.files),
        num_documents=tally.num_documents,
        num_characters=tally.num_characters,
        sha256=source.digest,
        passed_over=source.passed_over,
        notices=source.notices,
    )


def _long_enough(document: Iterator[Document], spec: DataSpec, drops: _Drops) -> Iterator[Document]:
    """Clean a document in its parts; nothing is left of one that is too short."""
    first = next(document)
    texts = cleaned(part.text for part in itertools.chain([first], document))
    begin: list[str] = []
    length = 0
    for text in texts:
        begin.append(text)
        length += weighted_length(text)
        if length >= spec.min_characters:
            break
    else:
        drops.add("too_short" if begin else "empty", sum(map(len, begin)))
        return
    for part, text in enumerate(itertools.chain(begin, texts)):
        yield replace(first, text=text, part=part)


def _no_text(role: Split, spec: DataSpec, *, num_read: int) -> DataError:
    rule = f"holds no text: of {num_read} documents none has {spec.min_characters} characters"
    hint = "give more text, or lower data.min_characters"
    key, value = ("data.validation", spec.validation) if role == "validation" else ("data.source", spec.source)
    return DataError([Problem(key=key, value=", ".join(value or spec.source), rule=rule, hint=hint)])


def _without_duplicates(
    spec: DataSpec, kept: dict[Split, _Kept], scratch: Path, *, drops: _Drops, tell: PrepareReporter
) -> tuple[npt.NDArray[np.int64], PieceTable]:
    """Cut the training text into pieces and find those that repeat nothing.

    What separate validation or test text holds is dropped from training; that text itself stays as it is.
    """
    limit = piece_limit(kept["train"].num_characters)
    pieces = PieceTable()
    num_held_out: dict[Split, int] = {"validation": 0, "test": 0}

    def texts() -> Iterator[str]:
        for split in num_held_out:
            for document in kept[split].documents() if split in kept else ():
                for piece in cut_document(document, limit):
                    num_held_out[split] += 1
                    yield piece.text
        train = kept["train"]
        groups = counted(train.file.groups(), "compare", train.num_documents, tell)
        for group, owner in zip(groups, train.owners, strict=True):
            for piece, place in _cut(group, limit, train.file):
                pieces.add(piece, place, owner)
                yield piece.text

    num_characters = sum(found.num_characters for found in kept.values())
    repeats = find_repeats(texts(), spec.dedup, scratch, num_characters)
    return _fresh(repeats, num_held_out, pieces, drops), pieces


def _cut(group: Iterator[Record], limit: int, file: DocumentFile) -> Iterator[tuple[Document, int]]:
    """Cut a document of a file into pieces, each with its place; those that are not there yet are written."""
    first = next(group)
    parts = itertools.chain([first.document], (record.document for record in group))
    for piece in cut_document(parts, limit):
        yield piece, first.place if piece == first.document else file.add(piece)


def _fresh(
    repeats: Repeats, num_held_out: dict[Split, int], pieces: PieceTable, drops: _Drops
) -> npt.NDArray[np.int64]:
    """The pieces that repeat nothing; the others are counted by what they repeat."""
    num_validation, num_before = num_held_out["validation"], sum(num_held_out.values())
    earlier, is_near = repeats.earlier[num_before:], repeats.is_near[num_before:]
    is_own = earlier >= num_before
    groups: dict[DropReason, npt.NDArray[np.bool_]] = {
        "in_validation": (earlier >= 0) & (earlier < num_validation),
        "in_test": (earlier >= num_validation) & ~is_own,
        "exact": is_own & ~is_near,
        "near": is_own & is_near,
    }
    sizes = np.frombuffer(pieces.sizes, dtype=np.int64)
    for reason, is_dropped in groups.items():
        if is_dropped.any():
            drops.add(reason, int(sizes[is_dropped].sum()), int(np.count_nonzero(is_dropped)))
    return np.flatnonzero(earlier < 0)


def _split(
    spec: DataSpec, fresh: npt.NDArray[np.int64], pieces: PieceTable, held_out: tuple[Split, ...]
) -> dict[Split, npt.NDArray[np.int64]]:
    """The numbers of the pieces of each split."""
    hashes = np.frombuffer(pieces.hashes, dtype=np.uint64)[fresh]
    sizes = np.frombuffer(pieces.sizes, dtype=np.int64)[fresh]
    dealt = deal(hashes, sizes, share=spec.validation_share, held_out=held_out)
    return {split: fresh[indices] for split, indices in dealt.items()}
