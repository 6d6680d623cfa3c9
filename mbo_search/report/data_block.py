"""The data block: what became of a study's text, in the words that terminal and page share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mbo_search.data.metadata import Notice, PassedOver
from mbo_search.data.summary.data_summary import DataSummary, DataWarning, NamedText, SourceSummary, SplitSummary
from mbo_search.report.style.i18n import Strings
from mbo_search.units import format_bytes, format_count, format_share, printable

Words = Mapping[str, str]

_MOST_NAMES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DataBlock:
    """A summary of data in words.

    Attributes:
        rows: Names and values, in order.
        remarks: Sentences: losses of a fifth or more, each with the setting to change, then what may surprise.
        lines: The most important of the rows in two sentences.
    """

    rows: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]
    lines: tuple[str, ...]


def data_block(summary: DataSummary, text: Strings, *, fields: str) -> DataBlock:
    """Put a summary into words.

    Args:
        summary: The summary.
        text: Words of a language.
        fields: Field of the text, or the columns of the task.
    """
    words = text["data"]
    warnings = (_warning(warning, summary, words, fields) for warning in summary.warnings)
    notices = (_notice(notice, words) for source in summary.sources for notice in source.notices)
    return DataBlock(
        rows=(
            *(row for source in summary.sources for row in _source_rows(source, _noun(summary), words)),
            (words["dropped"], _dropped(summary, words)),
            *((words[f"split_{split.split}"], _split(split, words)) for split in summary.splits),
            *((words["named"], _named(text, words)) for text in summary.named),
            *_labels(summary, words),
            *_unknown(summary, words),
            (words["leakage"], _leakage(summary, words)),
        ),
        remarks=(*warnings, *dict.fromkeys(notices)),
        lines=_lines(summary, words),
    )


def _noun(summary: DataSummary) -> str:
    return "examples" if summary.is_task else "documents"


def _labels(summary: DataSummary, words: Words) -> Iterator[tuple[str, str]]:
    if summary.labels is not None:
        names = _names(summary.labels, len(summary.labels), words)
        yield words["labels"], words["labels_value"].format(count=f"{len(summary.labels):,}", names=names)


def _source_rows(source: SourceSummary, noun: str, words: Words) -> Iterator[tuple[str, str]]:
    split = words[f"split_{source.role}"]
    label = words["source"] if source.role == "train" else words["source_for"].format(split=split)
    value = _source(source, noun, words)
    if source.train_share is not None:
        value = words["source_share"].format(source=value, share=format_share(source.train_share))
    yield label, value
    if source.passed_over:
        yield words["passed"], words["semicolon"].join(_passed(passed, words) for passed in source.passed_over)


def _source(source: SourceSummary, noun: str, words: Words) -> str:
    is_whole = source.num_found == source.num_files
    return words["source_value" if is_whole else "source_value_some"].format(
        name=printable(source.name),
        documents=_count(source.num_documents, noun, words),
        read=f"{source.num_files:,}",
        files=_count(source.num_found, "files", words),
    )


def _passed(passed: PassedOver, words: Words) -> str:
    names = _names(passed.names, passed.num_files, words)
    reason = words[f"passed_{passed.reason}"]
    return words["passed_value"].format(count=f"{passed.num_files:,}", reason=reason, names=names)


def _names(names: tuple[str, ...], num_all: int, words: Words) -> str:
    shown = words["name_comma"].join(printable(name) for name in names[:_MOST_NAMES])
    return shown if num_all <= _MOST_NAMES else words["and_more"].format(names=shown)


def _dropped(summary: DataSummary, words: Words) -> str:
    documents = _count(summary.num_documents, _noun(summary), words)
    if not summary.dropped:
        return words["dropped_none"].format(documents=documents)
    parts = [
        words["dropped_value"].format(
            count=f"{dropped.num_documents:,}",
            reason=words[f"drop_{dropped.reason}"].format(least=summary.min_characters),
        )
        for dropped in summary.dropped
    ]
    return words["dropped_total"].format(dropped=words["comma"].join(parts), documents=documents)


def _split(split: SplitSummary, words: Words) -> str:
    is_task = split.num_asked is not None
    value = words["split_value_asked" if is_task else "split_value"].format(
        documents=_count(split.num_documents, "examples" if is_task else "documents", words),
        tokens=format_count(split.num_tokens),
        size=format_bytes(split.num_bytes),
        asked=format_count(split.num_asked or 0),
    )
    if split.epochs is None:
        return value
    return words["split_value_epochs"].format(split=value, epochs=format_epochs(split.epochs))


def _named(text: NamedText, words: Words) -> str:
    value = words["named_value"].format(
        name=printable(text.name), tokens=format_count(text.num_tokens), share=format_share(text.train_share)
    )
    if text.epochs is None:
        return value
    return words["named_epochs"].format(named=value, epochs=format_epochs(text.epochs))


def format_epochs(epochs: float) -> str:
    """Write how often a text is read.

    >>> format_epochs(0.03125), format_epochs(3.0), format_epochs(1234.5)
    ('0.0312', '3', '1,234')
    """
    return f"{epochs:.3g}" if epochs < 1000 else f"{epochs:,.0f}"


def _unknown(summary: DataSummary, words: Words) -> Iterator[tuple[str, str]]:
    if summary.unknown_share is not None:
        yield words["unknown"], words["unknown_value"].format(share=format_share(summary.unknown_share))


def _leakage(summary: DataSummary, words: Words) -> str:
    if not summary.num_leaked:
        return words["leakage_none"]
    documents = _count(summary.num_leaked, _noun(summary), words)
    return words["leakage_value_task" if summary.is_task else "leakage_value"].format(documents=documents)


def _warning(warning: DataWarning, summary: DataSummary, words: Words, fields: str) -> str:
    share_of_text = warning.share_of_text
    is_split = warning.kind == "unknown"
    of_task = f"warning_{warning.kind}_task"
    return words[of_task if summary.is_task and of_task in words else f"warning_{warning.kind}"].format(
        lost=f"{warning.num_lost:,}",
        all=f"{warning.num_all:,}",
        share=format_share(warning.num_lost / warning.num_all),
        subject=words[f"split_{warning.subject}"] if is_split else printable(warning.subject),
        names=_names(warning.examples, warning.num_lost, words),
        text="" if share_of_text is None else words["share_of_text"].format(share=format_share(share_of_text)),
        least=summary.min_characters,
        field=fields,
    )


def _notice(notice: Notice, words: Words) -> str:
    return words[f"notice_{notice.kind}"].format(subject=printable(notice.subject))


def _lines(summary: DataSummary, words: Words) -> tuple[str, ...]:
    sources = words["semicolon"].join(_source(source, _noun(summary), words) for source in summary.sources)
    splits = words["semicolon"].join(
        words["compact_split"].format(name=words[f"split_{split.split}"], split=_split(split, words))
        for split in summary.splits
    )
    read = words["compact_read"].format(sources=sources, dropped=_dropped(summary, words))
    return read, words["compact_splits"].format(splits=splits)


def _count(number: int, noun: str, words: Words) -> str:
    return words[f"{noun}_one" if number == 1 else f"{noun}_many"].format(count=f"{number:,}")
