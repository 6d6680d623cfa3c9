"""`data` shows what became of a text, with the same numbers as plan, run, rank and page."""

from __future__ import annotations

import html
import json

import pytest

import mbo_search as mbo_door
from mbo_search.report.data_block import data_block
from mbo_search.report.style.i18n import load_strings
from mbo_search.system.files import read_json

STUDY = """
study: mine
data: {source: [texts], tokenizer: {kind: bytes}}
model: {layers: 1, width: 16, heads: 2, context: 16}
budget: {tokens: 2560, grid: 0.25}
train: {batch_tokens: 64, threads: 1, precision: float32, micro_batch: 4, device: cpu}
evaluation: {tokens: 256, points: 2}
stages:
  - {name: warm, share: 0.5, optimizer: [adamw, lion], lr_shape: constant}
  - {name: cool, share: rest, optimizer: [adamw, lion], lr_shape: linear}
search: {searcher: random, trials: 2}
control: 0
resources: {workers: 1}
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study whose text is lost by a quarter, in documents and in files."""
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(tmp_path / "cache"))
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(75):
        text = f"Document {number} says what no other says. " + "It goes on. " * (number % 9)
        (texts / f"{number}.txt").write_text(text)
    for number in range(25):
        (texts / f"short-{number}.txt").write_text(f"short {number}")
        (texts / f"table-{number}.dat").write_text("1")
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    return file


def test_it_shows_the_block_samples_and_the_next_command(mbo, study):
    ended = mbo("data", study, "--set", "data.min_characters=20")
    assert ended.code == 0
    assert "texts: 100 documents in 100 of 125 files" in ended.out
    assert "25 shorter than data.min_characters (20); 100 documents were read" in ended.out
    assert "Note: 25 of 100 documents" in ended.out
    assert "Note: 25 of 125 files of texts are not read, such as" in ended.out
    for split in ("training", "validation", "test"):
        assert f"documents of the {split} split, as the model sees them" in ended.out
    assert ended.out.count("says what no other says.") >= 9
    assert ended.out.rstrip().splitlines()[-1] == (
        f"Next: see what it would do and cost: mbo-search plan {study} --set data.min_characters=20"
    )


def test_an_example_is_named_in_the_next_command(mbo, study):
    changes = ("--set", "data.source=texts", "--set", "data.tokenizer={kind: bytes}")
    ended = mbo("data", "--example", "quickstart", "--set", f"data.source={study.parent / 'texts'}", *changes[2:])
    assert (
        "Next: see what it would do and cost: mbo-search plan --example quickstart --set data.source=" in ended.out
    )


def test_json_and_quiet(mbo, study):
    found = mbo("data", study, "--json").json()
    assert found["schema"] == "mbo-search/data/1"
    assert {split: len(samples) for split, samples in found["samples"].items()} == {
        "train": 5,
        "validation": min(5, found["data"]["splits"][1]["num_documents"]),
        "test": min(5, found["data"]["splits"][2]["num_documents"]),
    }
    assert mbo("data", study, "-q").out == "mine: 100 documents read\n"


def test_a_text_that_is_not_there_is_a_problem_without_a_traceback(mbo, study):
    ended = mbo("data", study, "--set", "data.source=./nothing")
    assert ended.code == 2
    assert "--set data.source" in ended.err
    assert "Traceback" not in ended.err


def test_the_same_numbers_everywhere(mbo, study, tmp_path):
    shown = mbo("data", study, "--json").json()["data"]
    assert mbo("plan", study, "--json").json()["data"] == shown
    out = tmp_path / "run"
    ran = mbo("run", study, "--out", out)
    assert ran.code == 0, ran.err
    run = mbo_door.load_run(out)
    assert run.data.model_dump(mode="json") == shown
    assert mbo("rank", out, "--json").json()["data"] == shown
    assert json.loads(json.dumps(mbo_door.plan(study).data.model_dump(mode="json"))) == shown

    block = data_block(run.data, load_strings("en"), fields="text")
    ranked = mbo("rank", out)
    planned = mbo("plan", study)
    for line in (*block.lines, *block.remarks):
        assert line in ran.err
        assert line in ranked.out
    for name, value in block.rows:
        assert any(line.startswith(name) and line.endswith(value) for line in planned.out.splitlines())
    page = html.unescape((out / "report.html").read_text())
    for name, value in block.rows:
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page
    assert all(remark in page for remark in block.remarks)
    assert mbo("report", out, "--lang", "zh", "--out", tmp_path / "zh.html").code == 0
    chinese = data_block(run.data, load_strings("zh"), fields="text")
    page = html.unescape((tmp_path / "zh.html").read_text())
    assert all(f"<dt>{name}</dt><dd>{value}</dd>" in page for name, value in chinese.rows)
    assert read_json(out / "data.json")["fingerprint"] == shown["fingerprint"]
