"""What became of a study's text, as one value: the same in the plan, the run, the ranking and the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from mbo_search.data.files.saved_datasets import describes_dataset
from mbo_search.data.metadata import (
    MOST_NAMES,
    SPLITS,
    DataMetadata,
    DropReason,
    Notice,
    PassedOver,
    PassReason,
    SourceMetadata,
    Split,
)
from mbo_search.study.spec.base import Description, without_empty, without_unset
from mbo_search.study.spec.sections.data import DataSpec

WORTH_A_WARNING = 0.2
"""Share of the documents, files or text whose loss nobody should have to look for."""

_UNKNOWN_WORTH_A_WARNING = 0.01
_MOST_EXAMPLES = 3
_NOT_LOST: frozenset[PassReason] = frozenset({"hidden", "named_elsewhere", "beside_splits", "beside_dataset"})
_BEFORE_COMPARING: frozenset[DropReason] = frozenset({"empty", "too_short"})

WarningKind = Literal[
    "files", "no_field", "empty", "too_short", "exact", "near", "in_validation", "in_test", "unknown"
]


class SourceSummary(Description):
    """What was read of one source.

    Attributes:
        name: Name of the corpus, or of the file, folder or glob, without the folders above it.
        role: The split that it is for; `train` is dealt to all splits that have no source of their own.
        num_files: Files read.
        num_found: Files found, read or not.
        num_documents: Documents read, before anything was dropped.
        passed_over: Files found but not read, by reason.
        notices: What its author may not expect.
        train_share: Its share of the training tokens, in [0, 1], where the study weights its sources; else None.
    """

    name: str
    role: Split
    num_files: int
    num_found: int
    num_documents: int
    passed_over: tuple[PassedOver, ...]
    notices: tuple[Notice, ...]
    train_share: float | None = Field(default=None, exclude_if=lambda share: share is None)


class DropSummary(Description):
    """Documents dropped for one reason.

    Attributes:
        reason: Why.
        num_documents: How many; a piece of a long document counts as one.
        share_of_documents: Their share of the documents that were looked at for this reason, in [0, 1].
        share_of_text: Their share of all text that was read, in [0, 1]; None where nobody counted.
    """

    reason: DropReason
    num_documents: int
    share_of_documents: float
    share_of_text: float | None


class SplitSummary(Description):
    """One split as it is trained or measured on.

    Attributes:
        split: Its name.
        num_documents: Documents.
        num_tokens: Tokens.
        num_bytes: UTF-8 bytes of the text.
        epochs: How often a full schedule reads it; None for all but the training split.
        unknown_share: Share of tokens that stand for text without a token of its own; None where nobody counted.
        num_asked: Tokens that a task asks for; None for running text, where all are.
    """

    split: Split
    num_documents: int
    num_tokens: int
    num_bytes: int
    epochs: float | None
    unknown_share: float | None
    num_asked: int | None = None

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_unset(write(self), "num_asked")


class DataWarning(Description):
    """A loss that is too large to be left unsaid.

    Attributes:
        kind: What was lost: `files` passed over, tables passed over because they have `no_field` of the study's,
            documents dropped for a reason, or text that became `unknown`.
        subject: The source of lost files, the split of unknown tokens; else empty.
        num_lost: Files, documents or tokens.
        num_all: Of how many.
        share_of_text: Share of all text that was lost with documents, in [0, 1]; None where nobody counted.
        examples: Names of some of the files.
    """

    kind: WarningKind
    subject: str
    num_lost: int
    num_all: int
    share_of_text: float | None = None
    examples: tuple[str, ...] = ()


class NamedText(Description):
    """The training text of a source that the study names.

    Attributes:
        name: Its name.
        num_tokens: Training tokens.
        train_share: Their share of all training tokens, in [0, 1].
        epochs: How often a schedule reads it, where a schedule is meant and that is known.
    """

    name: str
    num_tokens: int
    train_share: float
    epochs: float | None = Field(default=None, exclude_if=lambda epochs: epochs is None)


class DataSummary(Description):
    """What became of a study's text.

    Attributes:
        fingerprint: Names the tokens.
        sources: What was read, and what was found but not read.
        num_documents: Documents read, from all sources.
        dropped: Documents dropped, by reason.
        num_leaked: Training documents dropped because validation or test text holds them.
        min_characters: The study's shortest document.
        splits: The splits.
        unknown_share: Share of unknown tokens over all splits; None where nobody counted.
        warnings: Losses of a fifth or more.
        labels: Labels of the training text, sorted; None unless the task is one of labels.
        named: The training text by the names of its sources; empty unless the study names them.
    """

    fingerprint: str
    sources: tuple[SourceSummary, ...]
    num_documents: int
    dropped: tuple[DropSummary, ...]
    num_leaked: int
    min_characters: int
    splits: tuple[SplitSummary, ...]
    unknown_share: float | None
    warnings: tuple[DataWarning, ...]
    labels: tuple[str, ...] | None = None
    named: tuple[NamedText, ...] = ()

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_empty(without_unset(write(self), "labels"), "named")

    @property
    def is_task(self) -> bool:
        """Whether documents are examples of a task."""
        return any(split.num_asked is not None for split in self.splits)

    @property
    def epochs(self) -> float | None:
        """How often a full schedule reads the training split."""
        return next((split.epochs for split in self.splits if split.split == "train"), None)

    def with_epochs(self, epochs: Mapping[str, float]) -> DataSummary:
        """Add how often a schedule reads the text of each named source."""
        named = (text.model_copy(update={"epochs": epochs.get(text.name)}) for text in self.named)
        return self.model_copy(update={"named": tuple(named)})


def summarize(metadata: DataMetadata, spec: DataSpec, *, schedule_tokens: int) -> DataSummary:
    """Sum up prepared data for people.

    Args:
        metadata: What is known of them.
        spec: The study's data section.
        schedule_tokens: Charged tokens of one full schedule.
    """
    splits = tuple(_split(metadata, name, schedule_tokens) for name in SPLITS if name in metadata.splits)
    dropped = tuple(_dropped(metadata))
    return DataSummary(
        fingerprint=metadata.fingerprint,
        sources=tuple(_source(source, metadata) for source in metadata.sources),
        num_documents=_num_documents(metadata),
        dropped=dropped,
        num_leaked=metadata.dedup.num_leaked,
        min_characters=spec.min_characters,
        splits=splits,
        unknown_share=_unknown_share(metadata),
        warnings=(*_lost_files(metadata), *_lost_documents(metadata, dropped), *_unknown(metadata)),
        labels=metadata.labels,
        named=tuple(
            NamedText(name=name, num_tokens=num, train_share=_share(num, metadata.splits["train"].num_tokens))
            for name, num in metadata.source_tokens.items()
        ),
    )


def _source(source: SourceMetadata, metadata: DataMetadata) -> SourceSummary:
    num_own, num_all = source.num_train_tokens, metadata.splits["train"].num_tokens
    return SourceSummary(
        name=source.name,
        role=source.role,
        num_files=source.num_files,
        num_found=source.num_found,
        num_documents=source.num_documents,
        passed_over=told_apart(source.passed_over),
        notices=source.notices,
        train_share=None if num_own is None else _share(num_own, num_all),
    )


def told_apart(passed_over: tuple[PassedOver, ...]) -> tuple[PassedOver, ...]:
    """Tell the descriptions of saved datasets, which are read as such, from files whose ending nobody reads."""
    found = {passed.reason: passed for passed in passed_over}
    unread = found.get("suffix")
    described = [name for name in unread.names if describes_dataset(name)] if unread else []
    if unread is None or not described:
        return passed_over
    beside = found.get("beside_dataset", PassedOver(reason="beside_dataset", num_files=1, names=()))
    num_beside = len(described) + (beside.num_files if beside.names else 0)
    names = tuple(sorted([*beside.names, *described])[:MOST_NAMES])
    found["beside_dataset"] = PassedOver(reason="beside_dataset", num_files=num_beside, names=names)
    del found["suffix"]
    if unread.num_files > len(described):
        others = tuple(name for name in unread.names if not describes_dataset(name))
        found["suffix"] = unread.model_copy(
            update={"num_files": unread.num_files - len(described), "names": others}
        )
    return tuple(found[reason] for reason in sorted(found))


def _split(metadata: DataMetadata, name: Split, schedule_tokens: int) -> SplitSummary:
    split = metadata.splits[name]
    is_read = name == "train" and split.num_tokens > 0
    return SplitSummary(
        split=name,
        num_documents=split.num_documents,
        num_tokens=split.num_tokens,
        num_bytes=split.num_bytes,
        epochs=schedule_tokens / split.num_tokens if is_read else None,
        unknown_share=split.unknown_share,
        num_asked=None if split.asked is None else split.asked.num_tokens,
    )


def _num_documents(metadata: DataMetadata) -> int:
    return sum(source.num_documents for source in metadata.sources)


def _num_looked_at(metadata: DataMetadata, reason: DropReason) -> int:
    """Documents that could have been dropped for a reason; long ones are compared piece by piece."""
    num_read = _num_documents(metadata)
    return num_read if reason in _BEFORE_COMPARING else metadata.dedup.num_compared or num_read


def _dropped(metadata: DataMetadata) -> Iterator[DropSummary]:
    num_characters = sum(source.num_characters for source in metadata.sources)
    for reason, dropped in metadata.dedup.dropped.items():
        is_counted = reason in metadata.dedup.num_characters and num_characters > 0
        yield DropSummary(
            reason=reason,
            num_documents=dropped.num_documents,
            share_of_documents=_share(dropped.num_documents, _num_looked_at(metadata, reason)),
            share_of_text=_share(dropped.num_characters, num_characters) if is_counted else None,
        )


def _lost_documents(metadata: DataMetadata, dropped: tuple[DropSummary, ...]) -> Iterator[DataWarning]:
    for found in dropped:
        if max(found.share_of_documents, found.share_of_text or 0.0) >= WORTH_A_WARNING:
            yield DataWarning(
                kind=found.reason,
                subject="",
                num_lost=found.num_documents,
                num_all=_num_looked_at(metadata, found.reason),
                share_of_text=found.share_of_text,
            )


def _lost_files(metadata: DataMetadata) -> Iterator[DataWarning]:
    for source in metadata.sources:
        lost = [passed for passed in told_apart(source.passed_over) if passed.reason not in _NOT_LOST]
        names = tuple(name for passed in lost for name in passed.names)
        num_lost = sum(passed.num_files for passed in lost)
        if not num_lost or _share(num_lost, source.num_files + num_lost) < WORTH_A_WARNING:
            continue
        yield DataWarning(
            kind="no_field" if all(passed.reason == "no_field" for passed in lost) else "files",
            subject=source.name,
            num_lost=num_lost,
            num_all=source.num_files + num_lost,
            examples=names[:_MOST_EXAMPLES],
        )


def _unknown(metadata: DataMetadata) -> Iterator[DataWarning]:
    for name in SPLITS:
        split = metadata.splits.get(name)
        share = None if split is None else split.unknown_share
        if split is None or not split.num_unknown or share is None or share < _UNKNOWN_WORTH_A_WARNING:
            continue
        yield DataWarning(kind="unknown", subject=name, num_lost=split.num_unknown, num_all=split.num_tokens)


def _unknown_share(metadata: DataMetadata) -> float | None:
    counts = [split.num_unknown for split in metadata.splits.values()]
    known = [count for count in counts if count is not None]
    num_tokens = sum(split.num_tokens for split in metadata.splits.values())
    return _share(sum(known), num_tokens) if len(known) == len(counts) else None


def _share(part: int, whole: int) -> float:
    """A share in [0, 1], also where counts of different kinds disagree."""
    return min(1.0, part / whole) if whole > 0 else float(part > 0)
