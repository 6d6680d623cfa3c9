"""Proves that a task is one of three forms on columns that are there, and that all mistakes are told at once."""

from __future__ import annotations

import pytest

from mbo_search.errors import StudyError
from mbo_search.study.files.study_file import dump_study, parse_study
from mbo_search.study.spec.task import columns_of, fill

STUDY = """
study: tasks
data: {data}
model: {{size: tiny}}
budget: {{tokens: 1M}}
train: {{batch_tokens: 1024}}
stages: [{{name: only, share: rest, optimizer: adamw, lr: 0.001}}]
baselines: []
"""


def parse(data: str):
    return parse_study(STUDY.format(data=data), "study.yaml")


def problems(data: str) -> list[str]:
    with pytest.raises(StudyError) as caught:
        parse(data)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "task",
    [
        "{prompt: question, completion: answer}",
        "{prompt: 'Q: {question}', completion: ' {answer}', group: topic, packing: false}",
        "{messages: messages}",
        "{text: body, label: topic}",
    ],
)
def test_three_forms_are_read_and_written_back_equal(task):
    study = parse(f"{{source: rows.jsonl, task: {task}}}")
    assert study.data.min_characters == 1
    assert study.data.dedup == "exact"
    written = dump_study(study)
    assert "null" not in written.partition("task:")[2].partition("packing")[0]
    assert parse_study(written, "again.yaml") == study


def test_a_study_without_a_task_is_written_without_one():
    study = parse("{source: docs}")
    assert study.data.min_characters == 32
    assert "task" not in study.data.model_dump()
    assert "task" not in dump_study(study).partition("data:")[2]


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("{}", "must name columns for one of prompt and completion, or messages, or text and label"),
        ("{group: id}", "must name columns for one of"),
        ("{prompt: a, label: b}", "must name columns for one of"),
        ("{prompt: a, completion: b, messages: c}", "must name columns for one of"),
        ("{prompt: a}", "data.task.completion: is missing beside prompt"),
        ("{label: a}", "data.task.text: is missing beside label"),
        ("{prompt: a, completion: ' '}", "data.task.completion: ' ' is empty; it must name a column"),
        ("{promt: a, completion: b}", "data.task.promt: is not a known key (did you mean prompt?)"),
        ("{prompt: a, completion: b, packing: 3}", "data.task.packing: 3 must be true or false"),
        ("messages", "must be a mapping"),
    ],
)
def test_a_wrong_task_is_told_with_its_place(task, told):
    found = problems(f"{{source: rows.jsonl, task: {task}}}")
    assert any(told in problem and problem.startswith("study.yaml:3:") for problem in found), found


def test_columns_that_no_corpus_has_are_told_with_those_it_has():
    found = problems("{source: [docs, qa], text_field: body, task: {prompt: qestion, completion: '{answer}{sic}'}}")
    assert len(found) == 4
    assert "docs is running text, without columns for data.task (corpora with columns are classify, qa" in found[0]
    assert "data.text_field: body has no meaning beside data.task" in found[1]
    assert "data.task.prompt: qestion is not a column of qa (did you mean question?; its columns are" in found[2]
    assert "data.task.completion: sic is not a column of qa (did you mean topic?; its columns are" in found[3]


def test_pairs_are_no_running_text():
    (found,) = problems("{source: [docs, summarize]}")
    assert "summarize holds pairs, no running text (name it alone, or set data.task" in found


def test_braces_name_columns_and_doubled_ones_are_braces():
    assert columns_of("{a} and {b.c} {{no}}") == ("a", "b.c")
    assert fill("{a} {{a}} { } { b }", {"a": "{b}", "b": "y"}) == "{b} {a} { } y"
