"""Proves that `export`, `train`, `sample` and `replay` work from the command line, and refuse well."""

from __future__ import annotations

import pytest

from mbo_search.study.files.schedule_file import (
    Provenance,
    ScheduleFile,
    dump_schedule_file,
    load_schedule_file,
    sections_of,
)
from mbo_search.study.files.study_file import parse_study
from mbo_search.study.spec.schedule import LrShape, Schedule, Stage
from mbo_search.testing.runs import build_run

STUDY = """
study: tiny
data: {{source: ["{text}"], tokenizer: {{kind: bytes}}, dedup: none, min_characters: 1}}
model: {{layers: 1, width: 16, heads: 2, context: 16}}
budget: {{tokens: 1280, grid: 0.1}}
train: {{batch_tokens: 64, micro_batch: 4, precision: float32, threads: 1, device: cpu}}
evaluation: {{tokens: 256, points: 2}}
stages: [{{name: only, share: 1.0, optimizer: adamw, lr_shape: linear}}]
"""


@pytest.fixture
def schedule_file(tmp_path, monkeypatch):
    """A schedule of one short stage over a text of its own."""
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(tmp_path / "cache"))
    text = tmp_path / "text.txt"
    text.write_text(
        "\n\n".join(f"Line {n} of a text that counts to {n * n}." for n in range(400)), encoding="utf-8"
    )
    study = parse_study(STUDY.format(text=text), "test")
    stage = Stage(
        name="only",
        share=1.0,
        optimizer="adamw",
        hparams={"beta1": 0.9, "beta2": 0.95},
        lr=0.003,
        lr_shape=LrShape(kind="linear", hparams={"floor": 0.0}),
    )
    file = ScheduleFile(
        study=sections_of(study),
        schedule=Schedule(stages=(stage,)),
        provenance=Provenance(
            trial=3,
            arm="staged",
            seed=0,
            val_loss=5.0,
            val_perplexity=148.4,
            confirmed=False,
            data_fingerprint="0" * 64,
            root_key="0" * 64,
            versions={},
            numerics={},
            created="2026-11-21T00:00:00+00:00",
        ),
    )
    path = tmp_path / "schedule.yaml"
    path.write_text(dump_schedule_file(file), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished search that never trained anything."""
    return build_run(tmp_path_factory.mktemp("runs") / "built", num_trials=12).path


def test_a_trained_model_continues_text(mbo, schedule_file, tmp_path):
    out = tmp_path / "model"
    trained = mbo("train", schedule_file, "--out", out, "--json")
    assert trained.code == 0, trained.err
    document = trained.json()
    assert document["schema"] == "mbo-search/train/1"
    assert document["val_loss"] < 5.6
    assert (out / "model.safetensors").is_file()
    sampled = mbo("sample", out, "--prompt", "Line", "--tokens", 12, "--json").json()
    assert sampled["schema"] == "mbo-search/sample/1"
    assert sampled["continuation"]
    assert mbo("sample", out, "--prompt", "Line", "--tokens", 12, "--json").json() == sampled
    again = mbo("train", schedule_file, "--out", out, "--json").json()
    assert again == document


def test_train_takes_another_budget_and_refuses_another_schedule(mbo, schedule_file, tmp_path):
    out = tmp_path / "model"
    document = mbo("train", schedule_file, "--out", out, "--set", "budget.tokens=640", "--json").json()
    assert document["total_tokens"] == 640
    other = mbo("train", schedule_file, "--out", out)
    assert other.code == 2
    assert "choose another --out" in other.err
    refused = mbo("train", schedule_file, "--out", tmp_path / "b", "--set", "stages.0.lr=1", "--set", "control=0")
    assert refused.code == 2
    assert refused.err.count("error: ") == 2


def test_replay_refuses_text_that_is_not_what_it_was(mbo, schedule_file):
    ended = mbo("replay", schedule_file, "--json")
    assert ended.code == 2
    assert "other tokens" in ended.json()["problems"][0]["rule"]


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_export_writes_a_file_that_reads_back(form, mbo, run, tmp_path):
    out = tmp_path / f"best.{form}"
    ended = mbo("export", run, "--to", form, "-o", out, "--json")
    following = f"train the final model: mbo-search train {out} --out final-model"
    best = mbo("rank", run, "--json").json()["verdict"]["winner_trial"]
    exports = [{"trial": best, "file": str(out), "files": [str(out)], "remarks": []}]
    said = {
        "schema": "mbo-search/export/1",
        "file": str(out),
        "format": form,
        "exports": exports,
        "next": following,
    }
    assert ended.json() == said
    assert load_schedule_file(out).provenance.trial == best
    assert out.read_text(encoding="utf-8").lstrip().startswith("{") == (form == "json")


def test_export_of_a_trial_that_is_not_there_names_those_that_are(mbo, run, tmp_path):
    ended = mbo("export", run, "--trial", 999, "-o", tmp_path / "x.yaml")
    assert ended.code == 2
    assert "999" in ended.err
    assert not (tmp_path / "x.yaml").exists()


def test_export_writes_the_best_ones_by_number(mbo, run, tmp_path):
    ended = mbo("export", run, "--top", 2, "-o", tmp_path / "best.yaml", "--quiet")
    assert ended.out.split() == [str(tmp_path / f"best-{rank}.yaml") for rank in (1, 2)]
    assert mbo("export", run, "--top", 2, "--trial", 1, "-o", tmp_path / "x.yaml").code == 2


def test_a_format_that_needs_the_text_says_where_it_is_missing(mbo, run, tmp_path, monkeypatch):
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(tmp_path / "empty"))
    ended = mbo("export", run, "--to", "python", "-o", tmp_path / "best.py")
    assert ended.code == 2
    assert "needs its prepared text" in ended.err
    assert "must end in .py" in mbo("export", run, "--to", "python", "-o", tmp_path / "best").err
    assert list(tmp_path.glob("best*")) == []


def test_sample_says_where_weights_are_missing(mbo, run):
    ended = mbo("sample", run, "--prompt", "x")
    assert ended.code == 2
    assert "no longer keeps the weights" in ended.err


@pytest.mark.parametrize("command", [["replay"], ["train", "--out", "x"], ["sample", "--prompt", "x"]])
def test_a_missing_file_has_code_2(command, mbo, tmp_path):
    assert mbo(command[0], tmp_path / "none.yaml", *command[1:]).code == 2
