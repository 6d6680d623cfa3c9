"""Proves that `plan` tells where every setting comes from, the learning rates, the space and the cost."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from mbo_search.api.sparkline import sparkline
from mbo_search.cli.planned_ladder import power_of_seeds
from mbo_search.results.evidence.noise import EarlierNoise

STUDY = """
study: tiny
data: {source: [text.txt], tokenizer: {kind: bytes}, dedup: none, min_characters: 1}
model: {layers: 1, width: 16, heads: 2, context: 16}
budget: {tokens: 4000, grid: 0.1}
train: {batch_tokens: 64, threads: 1, device: cpu}
evaluation: {tokens: 256, points: 2}
stage_defaults: {weight_decay: 0.2}
stages:
  - {name: a, share: 0.4, optimizer: [adamw, lion], lr: {relative: [0.5, 1.0]}, lr_shape: constant}
  - {name: b, share: rest, optimizer: muon, lr: 0.004, lr_shape: [linear, cosine]}
search: {trials: 5}
resources: {workers: 1}
"""


@pytest.fixture
def study_file(tmp_path, monkeypatch):
    """A small study over a text of its own."""
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(tmp_path / "cache"))
    lines = [f"Line {n} of a text that counts to {n * n}." for n in range(400)]
    (tmp_path / "text.txt").write_text("\n\n".join(lines), encoding="utf-8")
    file = tmp_path / "study.yaml"
    file.write_text(STUDY, encoding="utf-8")
    return file


def test_a_plan_is_complete(mbo, study_file):
    plan = mbo("plan", study_file, "--set", "search.trials=6", "--json").json()
    assert plan["schema"] == "mbo-search/plan/1"
    assert plan["origins"]["search.trials"] == "--set"
    assert plan["origins"]["stages.0.weight_decay"] == "stage_defaults"
    assert plan["origins"]["budget.tokens"] == "file"
    assert plan["origins"]["seed"] == "default"
    assert plan["trials"] == 6
    assert plan["schedule_tokens"] == 3840
    assert plan["most_tokens"] == 6 * 3840
    assert plan["setup"]["micro_batch"] >= 1
    assert plan["pace"]["tokens"] > 0
    assert plan["nodes_that_fit"] == plan["store_bytes"] // plan["node_bytes"]
    staged = plan["arms"][0]
    assert [arm["arm"] for arm in plan["arms"]] == ["staged", "tuned", "line", "shape"]
    ranges = {(row["stage"], row["optimizer"]): (row["low"], row["high"]) for row in staged["lr_ranges"]}
    assert ranges["b", "muon"] == (0.004, 0.004)
    assert ranges["a", "adamw"][1] == pytest.approx(2 * ranges["a", "adamw"][0])


def test_a_plan_for_people_says_the_same(mbo, study_file):
    out = mbo("plan", study_file).out
    assert "rounded down from 4000" in out
    assert "256 tokens in 16 windows; nothing is judged on other documents: the validation split (" in " ".join(
        out.split()
    )
    weight_decay = next(line for line in out.splitlines() if line.startswith("stages.0.weight_decay"))
    assert weight_decay.split() == ["stages.0.weight_decay", "0.2", "stage_defaults"]
    assert "worked out here" in out
    assert "has to beat the champions of untuned, tuned, shape" in out
    ladder = [line.split()[:4] for line in out.splitlines() if " opponents " in line or " question " in line]
    assert ladder == [
        ["untuned", "adamw_cosine", "opponents", "first"],
        ["tuned", "tuned", "opponents", "25%"],
        ["shape", "line", "opponents", "12.5%"],
        ["shape", "shape", "opponents", "12.5%"],
        ["switch", "staged", "question", "50%"],
    ]
    assert "adamw_cosine" in out
    assert "tokens a second" in out


def test_a_plan_writes_nothing_beside_the_study(mbo, study_file, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert mbo("plan", study_file, "--quiet").out.startswith("tiny: 5 schedules of 3.84k tokens")
    assert sorted({path.name for path in tmp_path.iterdir()} - {"cache"}) == before


def test_too_little_text_has_code_2_and_says_how_much_is_needed(mbo, study_file):
    (study_file.parent / "text.txt").write_text("Far too short a text.", encoding="utf-8")
    ended = mbo("plan", study_file)
    assert ended.code == 2
    assert "error: " in ended.err


def shares_of(noise):
    """Seeds and shares of the table of power, row by row."""
    console = Console(file=io.StringIO(), width=100)
    console.print(power_of_seeds(noise))
    rows = [line.split() for line in console.file.getvalue().splitlines()[2:]]
    return [row[0] for row in rows], [[int(cell.removesuffix("%")) for cell in row[-3:]] for row in rows]


def test_other_documents_make_every_gain_harder_to_find():
    noise = EarlierNoise(folders=("before",), sd_nats=0.012, worthwhile_percent=0.5, seeds=50)
    judged = noise.model_copy(update={"documents": 60, "document_se_nats": 0.004})
    seeds, shares = shares_of(judged)
    assert seeds == ["6", "6", "12", "12", "24", "24"]
    assert shares[::2] == shares_of(noise)[1]
    pairs = zip(shares[::2], shares[1::2], strict=True)
    assert all(alone >= both for here, there in pairs for alone, both in zip(here, there, strict=True))
    assert shares[1] != shares[0]


def test_more_seeds_and_larger_gains_are_found_more_often():
    noise = EarlierNoise(folders=("before",), sd_nats=0.012, worthwhile_percent=0.5, seeds=50)
    seeds, shares = shares_of(noise)
    assert seeds == ["6", "12", "24"]
    assert all(row == sorted(row) for row in shares)
    assert all(list(column) == sorted(column) for column in zip(*shares, strict=True))
    assert power_of_seeds(noise.model_copy(update={"sd_nats": 0.0})) is None


def test_a_sparkline_follows_its_values():
    assert sparkline([1.0] * 100, width=10, plain=True) == "#" * 10
    falling = sparkline([1 - step / 99 for step in range(100)], width=8)
    assert list(falling) == sorted(falling, reverse=True)
    assert len(sparkline([0.5, 1.0])) == 2
