"""The data block has a word for everything that can be counted, in both languages, and names what to do."""

from __future__ import annotations

from typing import get_args

import pytest

from mbo_search.data.metadata import DROP_REASONS, Notice, NoticeKind, PassedOver, PassReason
from mbo_search.data.summary.data_summary import (
    DataSummary,
    DataWarning,
    DropSummary,
    NamedText,
    SourceSummary,
    SplitSummary,
    WarningKind,
)
from mbo_search.report.data_block import data_block
from mbo_search.report.style.i18n import LANGUAGES, load_strings

SOURCE = SourceSummary(
    name="caf\udce9",
    role="train",
    num_files=8,
    num_found=2_608,
    num_documents=851,
    passed_over=tuple(
        PassedOver(reason=reason, num_files=4, names=("a\n.x", "b.x", "c.x", "d.x"))
        for reason in get_args(PassReason)
    ),
    notices=tuple(Notice(kind=kind, subject="docs") for kind in get_args(NoticeKind)),
)
TRAIN = SplitSummary(
    split="train", num_documents=1, num_tokens=1_234_567, num_bytes=4_500_000, epochs=3.24, unknown_share=0.034
)
SUMMARY = DataSummary(
    fingerprint="f",
    sources=(SOURCE, SOURCE.model_copy(update={"name": "held", "role": "validation", "passed_over": ()})),
    num_documents=1_702,
    dropped=tuple(
        DropSummary(reason=reason, num_documents=577, share_of_documents=0.3, share_of_text=None)
        for reason in DROP_REASONS
    ),
    num_leaked=1,
    min_characters=32,
    splits=(TRAIN, TRAIN.model_copy(update={"split": "test", "epochs": None})),
    unknown_share=0.034,
    warnings=tuple(
        DataWarning(
            kind=kind,
            subject="train" if kind == "unknown" else "texts",
            num_lost=577,
            num_all=851,
            share_of_text=0.25,
            examples=("a.x", "b.x"),
        )
        for kind in get_args(WarningKind)
    ),
)


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_has_words(language):
    block = data_block(SUMMARY, load_strings(language), fields="content")
    words = [*(word for row in block.rows for word in row), *block.remarks, *block.lines]
    assert all(words)
    for word in words:
        word.encode()
        assert word.isprintable()
        assert "{" not in word.replace("{kind: bpe}", "")
    assert len(block.remarks) == len(get_args(WarningKind)) + len(get_args(NoticeKind))


def test_rows_say_the_numbers():
    rows = data_block(SUMMARY, load_strings("en"), fields="content").rows
    assert rows[0] == ("source", r"caf\xe9: 851 documents in 8 of 2,608 files")
    assert rows[1][1].startswith(r"4 in a format that is not known: a\n.x, b.x, c.x, ...; 4 hidden: ")
    assert rows[2] == ("source for validation", "held: 851 documents in 8 of 2,608 files")
    values = dict(rows[3:])
    assert "577 shorter than data.min_characters (32), 577 equal to an earlier one" in values["dropped"]
    assert values["dropped"].endswith("; 1,702 documents were read")
    assert values["training"] == "1 document, 1.23M tokens, 4.3 MiB; one schedule reads them 3.24 times"
    assert values["test"] == "1 document, 1.23M tokens, 4.3 MiB"
    assert values["unknown tokens"] == "3.4 % of all tokens"
    assert values["leakage removed"] == "1 document of the training text, held by validation or test text too"


def test_warnings_name_the_setting_that_helps():
    remarks = data_block(SUMMARY, load_strings("en"), fields="content").remarks
    told = dict(zip(get_args(WarningKind), remarks, strict=False))
    assert told["too_short"] == (
        "577 of 851 documents, 25 % of the text, are dropped because they are shorter than data.min_characters, "
        "which is 32. Lower it to keep them."
    )
    assert "have no field content" in told["no_field"]
    settings = {
        "files": "data.source",
        "no_field": "data.text_field",
        "empty": "data.text_field",
        "exact": "data.dedup to none",
        "near": "data.dedup to exact",
        "in_validation": "data.validation",
        "in_test": "data.source",
        "unknown": "data.tokenizer",
    }
    assert {kind: setting in told[kind] for kind, setting in settings.items()} == dict.fromkeys(settings, True)


def test_a_text_that_nothing_happened_to_says_so():
    plain = SOURCE.model_copy(update={"num_found": 8, "passed_over": (), "notices": (), "name": "texts"})
    changes = {"sources": (plain,), "dropped": (), "warnings": (), "num_leaked": 0, "unknown_share": None}
    block = data_block(SUMMARY.model_copy(update=changes), load_strings("en"), fields="text")
    assert dict(block.rows)["dropped"] == "nothing of 1,702 documents"
    assert dict(block.rows)["leakage removed"] == "none was found"
    assert "unknown tokens" not in dict(block.rows)
    assert block.remarks == ()
    train = "training 1 document, 1.23M tokens, 4.3 MiB; one schedule reads them 3.24 times"
    assert block.lines[1] == f"Splits: {train}; test 1 document, 1.23M tokens, 4.3 MiB."
    assert block.lines[0] == "Data: texts: 851 documents in 8 files; dropped: nothing of 1,702 documents."


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_of_a_task_are_about_examples_and_its_columns(language):
    labels = ("art", "money", "sport", "travel")
    task = {"splits": (TRAIN.model_copy(update={"num_asked": 4_321}),), "labels": labels, "num_leaked": 7}
    text = load_strings(language)
    block = data_block(SUMMARY.model_copy(update=task), text, fields="question, answer")
    rows = dict(block.rows)
    assert "4.32k" in rows[text["data"]["split_train"]]
    assert rows[text["data"]["labels"]].startswith("4")
    assert "art" in rows[text["data"]["labels"]]
    told = {warning.kind: remark for warning, remark in zip(SUMMARY.warnings, block.remarks, strict=False)}
    assert "question, answer" in told["no_field"]
    assert "data.task" in told["no_field"]
    assert "data.task" in told["empty"]
    assert "text_field" not in told["no_field"] + told["empty"]
    if language == "en":
        assert rows["leakage removed"].startswith("7 examples of the training split, whose prompts")
        assert rows["dropped"].endswith("1,702 examples were read")


def test_a_weighted_source_says_its_share_of_the_training_tokens():
    weighted = SUMMARY.model_copy(update={"sources": (SOURCE.model_copy(update={"train_share": 0.25}),)})
    shares = [
        data_block(weighted, load_strings(language), fields="content").rows[0][1].rpartition("25 %")
        for language in ("en", "zh")
    ]
    assert all(found and before for before, found, _ in shares)
    assert "25 %" not in data_block(SUMMARY, load_strings("en"), fields="content").rows[0][1]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_named_source_says_its_text_and_how_often_the_best_schedule_reads_it(language):
    named = (NamedText(name="chat", num_tokens=250_000, train_share=0.25),)
    summary, text = SUMMARY.model_copy(update={"named": named}), load_strings(language)
    rows = dict(data_block(summary, text, fields="content").rows)
    assert "chat" in rows[text["data"]["named"]]
    assert "25 %" in rows[text["data"]["named"]]
    read = dict(data_block(summary.with_epochs({"chat": 2.5}), text, fields="content").rows)
    assert read[text["data"]["named"]].startswith(rows[text["data"]["named"]])
    assert "2.5" in read[text["data"]["named"]]
