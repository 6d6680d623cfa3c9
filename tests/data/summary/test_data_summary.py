"""The summary counts what the card counts, and warns from a fifth on, of documents, files or text."""

from __future__ import annotations

import pytest

from mbo_search.data.metadata import (
    AskedMetadata,
    DataMetadata,
    DedupMetadata,
    Notice,
    PassedOver,
    SourceMetadata,
    SplitMetadata,
)
from mbo_search.data.prepare import prepare
from mbo_search.data.summary.data_summary import DataSummary, summarize
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec

SPEC = DataSpec(source=("texts",), min_characters=32)


def split(num_tokens, num_unknown=0):
    return SplitMetadata(
        num_documents=10,
        num_tokens=num_tokens,
        num_bytes=4 * num_tokens,
        bytes_per_token=4.0,
        sha256="a",
        num_unknown=num_unknown,
    )


def source(*passed, num_files=8, num_documents=100, name="texts", notices=()):
    return SourceMetadata(
        name=name,
        role="train",
        num_files=num_files,
        num_documents=num_documents,
        num_characters=10_000,
        sha256="b",
        passed_over=passed,
        notices=notices,
    )


def card(*sources, splits=None, **dropped):
    counts = {"too_short": 0, "exact": 0, "near": 0, "in_validation": 0} | dropped
    return DataMetadata(
        fingerprint="f" * 64,
        tokenizer_kind="bytes",
        vocab_size=257,
        eos_id=256,
        dtype="uint16",
        splits=splits or {"train": split(1000), "validation": split(100), "test": split(0)},
        files={},
        sources=sources or (source(),),
        dedup=DedupMetadata(kind="exact", **counts),
        versions={},
    )


def summary_of(metadata):
    return summarize(metadata, SPEC, schedule_tokens=2_500)


def test_numbers_are_those_of_the_card():
    passed = PassedOver(reason="suffix", num_files=2, names=("a.csv", "b.csv"))
    notice = Notice(kind="splits_by_name", subject="texts")
    summary = summary_of(card(source(passed, notices=(notice,)), too_short=7, in_validation=3, in_test=2))
    [read] = summary.sources
    assert (read.num_files, read.num_found, read.num_documents) == (8, 10, 100)
    assert (read.passed_over, read.notices) == ((passed,), (notice,))
    assert {dropped.reason: dropped.num_documents for dropped in summary.dropped} == {
        "too_short": 7,
        "in_validation": 3,
        "in_test": 2,
    }
    assert summary.num_leaked == 5
    assert summary.num_documents == 100
    assert [(one.split, one.num_tokens) for one in summary.splits] == [
        ("train", 1000),
        ("validation", 100),
        ("test", 0),
    ]
    assert summary.epochs == 2.5
    assert [one.epochs for one in summary.splits] == [2.5, None, None]


@pytest.mark.parametrize(("num_lost", "is_told"), [(19, False), (20, True), (100, True)])
@pytest.mark.parametrize("reason", ["empty", "too_short", "exact", "near", "in_validation", "in_test"])
def test_a_fifth_of_the_documents_is_worth_a_warning(reason, num_lost, is_told):
    warnings = summary_of(card(**{reason: num_lost})).warnings
    assert [(one.kind, one.num_lost, one.num_all) for one in warnings] == [(reason, num_lost, 100)] * is_told


@pytest.mark.parametrize(("num_characters", "is_told"), [(1_999, False), (2_000, True)])
def test_a_fifth_of_the_text_is_worth_a_warning_however_few_documents_it_was(num_characters, is_told):
    summary = summary_of(card(exact=1, num_characters={"exact": num_characters}))
    assert bool(summary.warnings) == is_told
    assert summary.dropped[0].share_of_text == num_characters / 10_000


def test_duplicates_are_a_share_of_what_was_compared():
    summary = summary_of(card(too_short=90, exact=5, num_compared=10))
    assert [(one.kind, one.num_lost, one.num_all) for one in summary.warnings] == [
        ("too_short", 90, 100),
        ("exact", 5, 10),
    ]


@pytest.mark.parametrize(("num_lost", "is_told"), [(1, False), (2, True), (9, True)])
def test_a_fifth_of_the_files_is_worth_a_warning(num_lost, is_told):
    passed = PassedOver(reason="suffix", num_files=num_lost, names=tuple("abcdefghi"[:num_lost]))
    warnings = summary_of(card(source(passed))).warnings
    assert [(one.kind, one.subject, one.num_lost, one.num_all) for one in warnings] == [
        ("files", "texts", num_lost, 8 + num_lost)
    ] * is_told


def test_files_that_are_meant_to_be_passed_over_are_no_loss():
    hidden = PassedOver(reason="hidden", num_files=50, names=(".git",))
    elsewhere = PassedOver(reason="named_elsewhere", num_files=50, names=("a.txt",))
    assert summary_of(card(source(hidden, elsewhere))).warnings == ()


def test_tables_without_the_field_are_told_apart():
    passed = PassedOver(reason="no_field", num_files=8, names=("a.csv",))
    assert [one.kind for one in summary_of(card(source(passed))).warnings] == ["no_field"]


def test_unknown_tokens_are_told_from_one_in_a_hundred_on():
    splits = {"train": split(1000, 9), "validation": split(100, 1), "test": split(0)}
    summary = summary_of(card(splits=splits))
    assert [(one.kind, one.subject) for one in summary.warnings] == [("unknown", "validation")]
    assert summary.unknown_share == pytest.approx(10 / 1100)


def test_what_nobody_counted_is_not_known_rather_than_zero():
    assert summary_of(card(splits={"train": split(1000, None), "validation": split(100)})).unknown_share is None
    assert summary_of(card(exact=5)).dropped[0].share_of_text is None


def test_a_real_text_is_counted_to_the_last_document(tmp_path):
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(60):
        (texts / f"{number}.txt").write_text(f"Document {number} says something that no other document says.")
    for number in range(20):
        (texts / f"short-{number}.txt").write_text(f"short {number}")
    (texts / "copy.txt").write_text("Document 7 says something that no other document says.")
    (texts / "table.dat").write_text("1,2")
    spec = DataSpec(source=(str(texts),), tokenizer=TokenizerSpec(kind="bytes"), min_characters=32)
    summary = summarize(prepare(spec, tmp_path / "cache").metadata, spec, schedule_tokens=1000)
    assert {dropped.reason: dropped.num_documents for dropped in summary.dropped} == {"too_short": 20, "exact": 1}
    assert summary.num_documents == 81
    assert sum(one.num_documents for one in summary.splits) == 60
    assert [(one.kind, one.num_lost, one.num_all) for one in summary.warnings] == [("too_short", 20, 81)]
    assert (summary.sources[0].num_files, summary.sources[0].num_found) == (81, 82)
    train = next(one for one in summary.splits if one.split == "train")
    assert train.epochs == 1000 / train.num_tokens


def test_running_text_has_no_numbers_of_tasks_and_tasks_have():
    plain = summary_of(card())
    assert not plain.is_task
    assert "labels" not in plain.model_dump()
    assert all("num_asked" not in one for one in plain.model_dump()["splits"])
    asked = AskedMetadata(num_tokens=40, num_bytes=160, sha256="c")
    splits = {"train": split(1000).model_copy(update={"asked": asked})}
    task = summary_of(card(splits=splits).model_copy(update={"labels": ("a", "b")}))
    assert task.is_task
    assert (task.splits[0].num_asked, task.labels) == (40, ("a", "b"))
    assert DataSummary.model_validate_json(task.model_dump_json()) == task


@pytest.mark.parametrize(
    ("passed", "told"),
    [
        (
            [("suffix", 3, ("dataset_info.json", "notes.doc", "train/state.json"))],
            [("beside_dataset", 2, ("dataset_info.json", "train/state.json")), ("suffix", 1, ("notes.doc",))],
        ),
        (
            [("beside_dataset", 1, ("cache.arrow",)), ("suffix", 1, ("state.json",))],
            [("beside_dataset", 2, ("cache.arrow", "state.json"))],
        ),
        ([("hidden", 1, (".x",)), ("suffix", 1, ("a.doc",))], [("hidden", 1, (".x",)), ("suffix", 1, ("a.doc",))]),
    ],
)
def test_descriptions_of_saved_datasets_are_no_unknown_format(passed, told):
    found = source(*(PassedOver(reason=reason, num_files=count, names=names) for reason, count, names in passed))
    (summary,) = summarize(card(found), SPEC, schedule_tokens=1000).sources
    assert [(one.reason, one.num_files, one.names) for one in summary.passed_over] == told
