"""Proves that every training document keeps the numbers beside it, and that nothing else changes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mbo_search.data.mixing.training_documents import TrainingDocuments
from mbo_search.data.prepare import prepare
from mbo_search.errors import DataError, StudyError
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec
from tests.study.builders import stage_space, study

BYTES = TokenizerSpec(kind="bytes")


def row(number):
    """A document whose score is twice its number."""
    return {"text": f"{number} " + " ".join(map(str, range(number, number + 20))), "quality": 2.0 * number}


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row(number)) + "\n" for number in range(60)))
    lines = [f'"{row(n)["text"]}",{row(n)["quality"]}' for n in range(60, 120)]
    (tmp_path / "b.csv").write_text("\n".join(["text,quality", *lines]) + "\n")
    return [str(tmp_path / "a.jsonl"), str(tmp_path / "b.csv")]


def prepared(sources, tmp_path, **settings):
    return prepare(DataSpec(source=sources, tokenizer=BYTES, **settings), tmp_path / "cache")


def numbers(found):
    """The number with which each training document begins."""
    tokens, starts = np.array(found.tokens("train")), [0, *found.ends("train")[:-1]]
    return [int(bytes(tokens[start : start + 4].astype(np.uint8)).split()[0]) for start in starts]


@pytest.mark.parametrize("weights", [None, (3.0, 1.0)])
def test_every_document_keeps_its_score(sources, tmp_path, weights):
    weighted = None if weights is None else dict(zip(sources, weights, strict=True))
    found = prepared(sources, tmp_path, scores=["quality"], weights=weighted)
    scores = TrainingDocuments(found).scores("quality")
    assert scores.tolist() == [2.0 * number for number in numbers(found)]
    lengths = TrainingDocuments(found).scores("length")
    assert lengths.sum() == found.metadata.splits["train"].num_tokens
    with pytest.raises(DataError, match="other is no score of the training text"):
        TrainingDocuments(found).scores("other")


def test_scores_change_no_token_and_are_kept_only_where_they_are_named(sources, tmp_path):
    plain, scored = prepared(sources, tmp_path), prepared(sources, tmp_path, scores="quality")
    assert plain.metadata.splits == scored.metadata.splits
    assert plain.metadata.fingerprint != scored.metadata.fingerprint
    assert "scores" not in json.loads((plain.folder / "card.json").read_text())
    assert scored.metadata.files.keys() - plain.metadata.files.keys() == {"train.scores"}


@pytest.mark.parametrize(("value", "words"), [("good", "'good' is no number"), (None, "None is no number")])
def test_what_is_no_number_is_refused_with_its_place(sources, tmp_path, value, words):
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write(json.dumps({"text": row(5)["text"], "quality": value}) + "\n")
    with pytest.raises(DataError, match=words) as caught:
        prepared(sources, tmp_path, scores=["quality"])
    assert caught.value.problems[0].where.endswith("a.jsonl:61")


def test_files_without_the_column_are_refused(sources, tmp_path):
    (tmp_path / "c.txt").write_text("text without columns " * 10)
    with pytest.raises(DataError, match=r"has no columns, which data\.scores names"):
        prepared([str(tmp_path / "c.txt")], tmp_path, scores=["quality"])
    with pytest.raises(DataError, match="grade"):
        prepared(sources, tmp_path, scores=["grade"])


def test_studies_read_by_the_scores_that_they_name():
    asked = study(stage_space(order={"by": "quality"}), data={"source": "./a.jsonl", "scores": "quality"})
    assert asked.stages[0].order[0].by == "quality"
    with pytest.raises(StudyError, match="must be columns with different names"):
        study(stage_space(), data={"source": "./a.jsonl", "scores": "length"})
    with pytest.raises(StudyError, match=r"docs has none of data\.scores"):
        study(stage_space(), data={"source": "docs", "scores": "quality"})
