"""Chats, tables and saved datasets, in the forms in which people have them, are each searched by one command."""

from __future__ import annotations

import csv
import json

import pyarrow as pa
import pytest

STUDY = """
study: task
data: {{source: [{source}], tokenizer: bytes, task: {task}, validation_share: 0.1}}
model: {{layers: 1, width: 16, heads: 2, context: 64}}
budget: {{tokens: 5120, grid: 0.5}}
train: {{batch_tokens: 256, micro_batch: 4, precision: float32, threads: 1, device: cpu}}
evaluation: {{tokens: 512, points: 1}}
stages: [{{name: only, share: rest, optimizer: adamw, lr: [0.001, 0.01]}}]
search: {{searcher: random, trials: 2}}
baselines: []
control: 0
resources: {{workers: 1}}
"""


def write_chats(folder):
    with (folder / "chats.jsonl").open("w", encoding="utf-8") as file:
        for number in range(100):
            turns = [
                ("user", f"What is {number}?"),
                ("assistant", "A number."),
                ("user", "Why?"),
                ("assistant", "So."),
            ]
            chat = [{"role": role, "content": content} for role, content in turns]
            file.write(json.dumps({"messages": chat}) + "\n")
    return "chats.jsonl", "{messages: messages}"


def write_table(folder):
    with (folder / "reviews.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["review", "stars"])
        table.writerows([f'They said: "{number} times, yes."', number % 5] for number in range(100))
    return "reviews.csv", "{text: review, label: stars}"


def write_dataset(folder):
    place = folder / "dataset"
    place.mkdir()
    table = pa.table({"q": [f"{n} and {n}?" for n in range(100)], "a": [str(2 * n) for n in range(100)]})
    file = place / "data-00000-of-00001.arrow"
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    state = {"_data_files": [{"filename": file.name}], "_fingerprint": "f", "_split": None}
    (place / "state.json").write_text(json.dumps(state), encoding="utf-8")
    (place / "dataset_info.json").write_text(json.dumps({"features": {}}), encoding="utf-8")
    return "dataset", "{prompt: 'Sum of {q} ', completion: a}"


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_chats, write_table, write_dataset])
def test_one_command_searches_it(mbo, tmp_path, monkeypatch, write):
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(tmp_path / "cache"))
    source, task = write(tmp_path)
    study = tmp_path / "study.yaml"
    study.write_text(STUDY.format(source=source, task=task), encoding="utf-8")
    ended = mbo("run", study, "--out", tmp_path / "run")
    assert ended.code == 0, ended.err
    ranking = mbo("rank", tmp_path / "run", "--json").json()
    assert all(split["num_asked"] > 0 for split in ranking["data"]["splits"])
    assert len(ranking["trials"]) == 2
    assert "asked for" in mbo("rank", tmp_path / "run").out
