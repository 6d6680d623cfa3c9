"""From sources of rows to distinct examples of each split, none of whose prompts occurs in two of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mbo_search.data.clean import weighted_length
from mbo_search.data.document import Document, Row
from mbo_search.data.duplicates.repeats import find_repeats
from mbo_search.data.metadata import DedupMetadata, DropReason, SourceMetadata, Split, with_counts
from mbo_search.data.progress import PrepareReporter, counted, tell_nobody
from mbo_search.data.readers import read_rows
from mbo_search.data.sources import Source
from mbo_search.data.split import deal_groups, held_out_splits
from mbo_search.data.tasks.asking import examples, with_task_keys
from mbo_search.data.tasks.chats import ChatTemplate
from mbo_search.data.too_little import check_enough
from mbo_search.errors import DataError, Problem
from mbo_search.study.spec.sections.data import DataSpec
from mbo_search.study.spec.task import TaskSpec

MOST_LABELS = 1000
"""Each one is weighed for every text that is classified."""

_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitExamples:
    """Examples ready to be tokenized.

    Attributes:
        splits: The examples of each split, in the order of the sources.
        sources: What was read.
        dedup: What was dropped.
        labels: Labels of the training split, sorted; None unless the task is one of labels.
    """

    splits: Mapping[Split, Sequence[Document]]
    sources: tuple[SourceMetadata, ...]
    dedup: DedupMetadata
    labels: tuple[str, ...] | None = None


class _Dropped:
    """Counts what is dropped, by reason."""

    def __init__(self) -> None:
        self._examples: Counter[DropReason] = Counter()
        self._characters: Counter[DropReason] = Counter()

    def add(self, reason: DropReason, example: Document) -> None:
        self._examples[reason] += 1
        self._characters[reason] += len(example.text)

    def metadata(self, spec: DataSpec, num_compared: int) -> DedupMetadata:
        known = DedupMetadata(
            kind=spec.dedup, too_short=0, exact=0, near=0, in_validation=0, num_compared=num_compared
        )
        return with_counts(known, self._examples, self._characters)


def read_examples(
    spec: DataSpec,
    sources: Sequence[Source],
    template: ChatTemplate,
    scratch: Path,
    tell: PrepareReporter = tell_nobody,
) -> SplitExamples:
    """Read, compare and split the examples of a study with a task.

    Args:
        spec: The study's data section.
        sources: What is read.
        template: Writes chats as text.
        scratch: An empty folder for what takes much room.
        tell: Told how far the work has come.

    Raises:
        DataError: With every file that cannot be read; or if there are too few examples.
    """
    assert spec.task is not None
    read = _read(spec.task, sources, template, tell)
    drops = _Dropped()
    kept = {role: _long_enough(found, spec, drops) for role, found in read.examples.items()}
    for role, found in kept.items():
        if not found:
            raise _nothing_left(role, spec, num_read=len(read.examples[role]))
    num_compared = len(kept["train"])
    train = _distinct(spec, kept, scratch, drops=drops, tell=tell)
    held_out = held_out_splits(kept)
    check_enough(
        spec, held_out, len({example.split_hash() for example in train}), drops.metadata(spec, num_compared)
    )
    dealt = _deal(spec, train, held_out) | {split: found for split, found in kept.items() if split != "train"}
    dealt["train"] = list(_without_leaks(dealt, drops))
    dedup = drops.metadata(spec, num_compared)
    check_enough(spec, (), len(dealt["train"]), dedup)
    labels = _labels(spec.task, dealt["train"])
    return SplitExamples(splits=dealt, sources=read.sources, dedup=dedup, labels=labels)


def _labels(task: TaskSpec, train: Sequence[Document]) -> tuple[str, ...] | None:
    """What is asked for in the training split, each text once.

    Raises:
        DataError: If there are too many to choose from.
    """
    if task.label is None:
        return None
    labels = {example.text[start:end] for example in train for start, end in example.asked or ()}
    if len(labels) > MOST_LABELS:
        rule = f"has {len(labels)} values in the training split; a model chooses from at most {MOST_LABELS} labels"
        hint = "name another column, or name both as prompt and completion"
        raise DataError([Problem(key="data.task.label", value=task.label, rule=rule, hint=hint)])
    return tuple(sorted(labels))


@dataclass(frozen=True, slots=True)
class _Read:
    examples: dict[Split, list[Document]]
    sources: tuple[SourceMetadata, ...]


def _read(task: TaskSpec, sources: Sequence[Source], template: ChatTemplate, tell: PrepareReporter) -> _Read:
    """Read every file, so that a bad one does not hide the next."""
    found: dict[Split, list[Document]] = {source.role: [] for source in sources}
    of_source: dict[int, list[Document]] = {place: [] for place in range(len(sources))}
    problems: list[Problem] = []
    streams = [(place, file) for place, source in enumerate(sources) for file in _files(source)]
    for place, file in counted(streams, "read", len(streams), tell):
        try:
            of_source[place].extend(examples(_rows(sources[place], file, task), task, template))
        except DataError as error:
            problems.extend(with_task_keys(error, task).problems)
        if len(problems) >= _MOST_PROBLEMS:
            break
    if problems:
        raise DataError(problems)
    for place, source in enumerate(sources):
        found[source.role].extend(of_source[place])
    return _Read(found, tuple(_metadata(source, of_source[place]) for place, source in enumerate(sources)))


def _files(source: Source) -> Sequence[Path | None]:
    """What is read in one go: a file, or a corpus as a whole."""
    return source.files if source.corpus is None else (None,)


def _rows(source: Source, file: Path | None, task: TaskSpec) -> Iterator[Row]:
    if file is not None:
        yield from read_rows(file, tuple(task.columns))
    elif source.corpus is not None and source.corpus.rows is not None:
        yield from source.corpus.rows()


def _metadata(source: Source, read: Sequence[Document]) -> SourceMetadata:
    return SourceMetadata(
        name=source.name,
        role=source.role,
        num_files=len(source.files),
        num_documents=len(read),
        num_characters=sum(len(example.text) for example in read),
        sha256=source.digest,
        passed_over=source.passed_over,
        notices=source.notices,
    )


def _long_enough(read: Sequence[Document], spec: DataSpec, drops: _Dropped) -> list[Document]:
    kept: list[Document] = []
    for example in read:
        if not example.asked:
            drops.add("empty", example)
        elif weighted_length(example.text) < spec.min_characters:
            drops.add("too_short", example)
        else:
            kept.append(example)
    return kept


def _nothing_left(role: Split, spec: DataSpec, *, num_read: int) -> DataError:
    rule = (
        f"holds no examples: of {num_read} rows none asks for anything in at least {spec.min_characters} characters"
    )
    hint = "see that the columns of data.task hold text"
    key, value = ("data.validation", spec.validation) if role == "validation" else ("data.source", spec.source)
    return DataError([Problem(key=key, value=", ".join(value or spec.source), rule=rule, hint=hint)])


def _distinct(
    spec: DataSpec,
    kept: Mapping[Split, Sequence[Document]],
    scratch: Path,
    *,
    drops: _Dropped,
    tell: PrepareReporter,
) -> list[Document]:
    """Training examples that repeat neither each other nor a prompt of separate validation or test rows."""
    held: dict[str, DropReason] = {example.prompt: "in_test" for example in kept.get("test", ())}
    held |= {example.prompt: "in_validation" for example in kept.get("validation", ())}
    train = kept["train"]
    texts = (example.text for example in counted(train, "compare", len(train), tell))
    repeats = find_repeats(texts, spec.dedup, scratch, sum(len(example.text) for example in train))
    distinct: list[Document] = []
    for example, earlier, is_near in zip(train, repeats.earlier, repeats.is_near, strict=True):
        repeated: DropReason = "near" if is_near else "exact"
        reason = held.get(example.prompt) or (repeated if earlier >= 0 else None)
        if reason:
            drops.add(reason, example)
        else:
            distinct.append(example)
    return distinct


def _deal(
    spec: DataSpec, train: Sequence[Document], held_out: tuple[Split, ...]
) -> dict[Split, Sequence[Document]]:
    hashes = np.array([example.split_hash() for example in train], dtype=np.uint64)
    sizes = np.array([len(example.text) for example in train], dtype=np.int64)
    dealt = deal_groups(hashes, sizes, share=spec.validation_share, held_out=held_out)
    return {split: [train[index] for index in indices] for split, indices in dealt.items()}


def _without_leaks(splits: Mapping[Split, Sequence[Document]], drops: _Dropped) -> Iterator[Document]:
    """Training examples whose prompts are in no other split; groups may part equal prompts."""
    held: dict[str, DropReason] = {example.prompt: "in_test" for example in splits["test"]}
    held |= {example.prompt: "in_validation" for example in splits["validation"]}
    for example in splits["train"]:
        reason = held.get(example.prompt)
        if reason is None:
            yield example
        else:
            drops.add(reason, example)
