"""Proves that a file or folder of the wrong kind is called what it is, and that the right one is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mbo_search.study.examples import example_path

FOLDER = Path(__file__).parents[2] / "replay" / "directory"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a run directory in `reports`, a study and a schedule file, as the current one."""
    shutil.copytree(FOLDER, tmp_path / "reports" / "first")
    shutil.copy(example_path("quickstart"), tmp_path / "my-study.yaml")
    shutil.copy(FOLDER / "best.yaml", tmp_path / "found.yaml")
    (tmp_path / "notes").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "rank reports",
            "is not a run directory but a folder of run directories (give one of them: reports/first)",
        ),
        ("rank reports/frist", "does not exist (did you mean reports/first?)"),
        ("rank first", "did you mean reports/first?"),
        ("rank nothing-alike", "does not exist (there are: reports/first)"),
        (
            "rank reports/first/ranking.json",
            "but the ranking of a run (give the folder that holds it: reports/first)",
        ),
        ("rank reports/first/study.yaml", "but a study file (give the folder that holds it: reports/first)"),
        ("tree notes", "is not a run directory but a folder of something else"),
        ("resume my-study.yaml", "but a study file (search it first: mbo-search run my-study.yaml)"),
        (
            "rank quickstart",
            "but the name of a shipped study (search it first: mbo-search run --example quickstart)",
        ),
        (
            "run quickstart",
            "the name of a shipped study (shipped studies are named by an option: --example quickstart",
        ),
        ("run quickstrat", "a shipped study is named by --example quickstart"),
        ("run my-stduy.yaml", "does not exist (did you mean my-study.yaml?)"),
        ("run .", "is not a study file but a folder of something else (give one of its files: my-study.yaml)"),
        (
            "run reports/first",
            "is not a study file but a run directory (continue its search with `mbo-search resume",
        ),
        ("run found.yaml", "is not a study file but a schedule file (train it with `mbo-search train found.yaml"),
        ("run https://example.org/study.yaml", "is not a study file but an address in a network"),
        (
            "replay my-study.yaml",
            "is not a schedule file but a study file (`mbo-search run my-study.yaml` searches",
        ),
        ("replay reports/first/study.yaml", "give the best schedule of the run: reports/first/best.yaml"),
        (
            "replay reports/first",
            "but a run directory (give the best schedule of the run: reports/first/best.yaml)",
        ),
        ("train fuond.yaml --out model", "does not exist (did you mean found.yaml?)"),
        ("simulate notes", "is not a stage table but a folder of something else (a JSON file with the losses"),
        ("simulate my-study.yaml", "is not a stage table but a study file"),
        ("sample reports --prompt x", "but a folder of run directories (give one of them: reports/first)"),
        ("compare reports/first reports/second", "reports/second: does not exist (there are: reports/first)"),
        ("export reports/first -o notes", "notes is a folder; yaml is a file"),
        ("export reports/first -o gone/x.yaml", "gone/x.yaml: cannot be written: there is no folder for it"),
        ("export reports/first -o x.gguf", "x.gguf ends in .gguf, which is no format of schedules (yaml, json"),
        ("report reports/first -o my-study.yaml/x", "what should be its folder is a file"),
        ("report reports/first --figures my-study.yaml", "is a file; a folder is to be written"),
        ("run my-study.yaml --out found.yaml", "found.yaml: is a file; a folder is to be written"),
        ("init notes", "notes: is a folder; a file is to be written"),
    ],
)
def test_what_was_given_is_named_and_what_to_give(line, said, here, mbo):
    ended = mbo(*line.split())
    assert ended.code == 2
    assert said in ended.err
    assert "Errno" not in ended.err


def test_every_wrong_run_of_a_comparison_is_named_at_once(here, mbo):
    ended = mbo("compare", "notes", "reports/first:3", "gone:4")
    assert [line.split(":")[1].strip() for line in ended.err.splitlines()] == ["notes", "gone"]


def test_a_path_in_an_advice_can_be_pasted(here, mbo):
    shutil.move("my-study.yaml", "my study.yaml")
    assert "mbo-search run 'my study.yaml'" in mbo("rank", "my study.yaml").err


@pytest.mark.parametrize(
    ("name", "first"), [("x.json", "{"), ("x.yaml", "schema_version"), ("x", "schema_version")]
)
def test_an_exported_schedule_has_the_format_of_its_name(name, first, here, mbo):
    assert mbo("export", "reports/first", "-o", name).code == 0
    assert Path(name).read_text(encoding="utf-8").startswith(first)


def test_a_format_that_is_asked_for_beats_the_name(here, mbo):
    assert mbo("export", "reports/first", "-o", "x.txt", "--to", "json").code == 0
    assert Path("x.txt").read_text(encoding="utf-8").startswith("{")


@pytest.mark.parametrize("written", ["1e5", "1E5", "100_000", "100k", "100K", "0.1M", "0.1m", "100000.0", "100000"])
def test_counts_may_be_written_in_every_usual_way(written, mbo):
    document = mbo("validate", "--example", "quickstart", "--set", f"budget.tokens={written}", "--json").json()
    assert document["study"]["budget"]["tokens"] == 100_000


@pytest.mark.parametrize("written", ["1e-3", "inf", "100000.5", "many"])
def test_what_is_no_whole_number_is_refused(written, mbo):
    ended = mbo("validate", "--example", "quickstart", "--set", f"budget.tokens={written}")
    assert ended.code == 2
    assert "must be a whole number" in ended.err
