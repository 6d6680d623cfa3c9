"""Proves that `validate` accepts what is right, lists all that is wrong, and never ends in a traceback."""

from __future__ import annotations

import pytest

from mbo_search.cli.init import STARTER
from mbo_search.study.examples import example_names


@pytest.fixture
def study_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(STARTER.replace("NAME", "mine"), encoding="utf-8")
    return file


def test_a_started_study_is_valid(mbo, study_file):
    ended = mbo("validate", study_file)
    assert ended.code == 0
    assert ended.out.splitlines()[0] == f"{study_file} is valid: study mine, 2 stages (warm, cool)."


def test_what_a_searcher_cannot_model_together_is_named(mbo, study_file):
    ended = mbo("validate", study_file, "--set", "search.searcher=greedy")
    assert "Note on the search staged (searcher greedy): stage/1/" in ended.out
    assert "never together with an earlier stage" in ended.out
    notes = mbo("validate", study_file, "--set", "search.searcher=greedy", "--json").json()["notes"]
    assert {(note["arm"], note["searcher"]) for note in notes} >= {("staged", "greedy")}


def test_a_valid_study_is_told_in_full_as_json(mbo, study_file):
    document = mbo("validate", study_file, "--set", "search.trials=7", "--json").json()
    assert document["schema"] == "mbo-search/validate/1"
    assert document["study"]["search"]["trials"] == 7
    assert document["study"]["stages"][0]["optimizer"][0]["name"] == "adamw"


def test_quiet_says_nothing_of_a_valid_study(mbo, study_file):
    ended = mbo("validate", study_file, "--quiet")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_all_mistakes_come_at_once_with_their_places(mbo, study_file):
    text = study_file.read_text().replace("optimizer: [adamw, lion, muon]", "optimizer: [adamv, lion]")
    study_file.write_text(text.replace("share: 0.3 ", "share: 1.7 ") + "surplus: 1\n")
    ended = mbo("validate", study_file)
    assert ended.code == 2
    assert ended.out == ""
    lines = ended.err.splitlines()
    assert len(lines) >= 3
    assert all(line.startswith(f"error: {study_file}:") for line in lines)
    assert "adamw" in ended.err
    assert "surplus" in ended.err


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"study: a\n\tseed: 1\n", "tab"),
        (b"study: a\nstudy: b\n", "study"),
        (b"a: &x 1\nb: *x\n", "anchor"),
        (b"study: !!python/object:os.system x\n", "tag"),
        (b"study: \x00\n", ""),
        (b"study: \xff\xfe\n", "UTF-8"),
        (b"", ""),
        (b"- 1\n", ""),
    ],
)
def test_bad_files_of_every_kind_have_code_2(content, word, mbo, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_bytes(content)
    ended = mbo("validate", file)
    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert word in ended.err


def test_a_missing_file_and_a_folder_have_code_2(mbo, tmp_path):
    assert mbo("validate", tmp_path / "none.yaml").code == 2
    assert mbo("validate", tmp_path).code == 2


def test_nothing_is_written(mbo, study_file, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    mbo("validate", study_file)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_file_or_an_example_but_not_both(mbo, study_file):
    assert mbo("validate").code == 2
    assert mbo("validate", study_file, "--example", "quickstart").code == 2


def test_an_unknown_example_names_the_shipped_ones(mbo):
    ended = mbo("validate", "--example", "quickstat")
    assert ended.code == 2
    assert all(name in ended.err for name in example_names())
