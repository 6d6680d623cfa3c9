"""Rules for tasks: exactly one form, and columns that built-in corpora have."""

from __future__ import annotations

from collections.abc import Iterator

from mbo_search.errors import Problem
from mbo_search.study.catalogue.entries import CorpusInfo
from mbo_search.study.catalogue.lookup import CORPORA
from mbo_search.study.catalogue.suggestions import nearest_hint
from mbo_search.study.spec.sections.data import DataSpec
from mbo_search.study.spec.study import StudySpec
from mbo_search.study.spec.task import FORMS, TaskSpec

_FORMS = "prompt and completion, or messages, or text and label"


def check_task(study: StudySpec) -> Iterator[Problem]:
    """A task names what one form needs, and nothing that another one needs."""
    task = study.data.task
    if task is None:
        return
    given = {key for key in task.named if key != "group"}
    fitting = [form for form, keys in FORMS.items() if given <= set(keys)]
    if not given or not fitting:
        value = ", ".join(task.named) or "{}"
        yield Problem(key="data.task", value=value, rule=f"must name columns for one of {_FORMS}")
    else:
        for key in FORMS[fitting[0]]:
            if key not in given:
                rule = f"is missing beside {' and '.join(sorted(given))}"
                yield Problem(key=f"data.task.{key}", rule=rule, hint=f"a task names {_FORMS}")
    yield from _empty(task)
    if study.data.text_field != "text":
        hint = "name the columns in data.task alone"
        rule = "has no meaning beside data.task"
        yield Problem(key="data.text_field", value=study.data.text_field, rule=rule, hint=hint)


def check_corpora_of_task(study: StudySpec) -> Iterator[Problem]:
    """Built-in corpora have the columns of the task; those that are pairs are not read as running text."""
    for key, name in _named_sources(study.data):
        corpus = CORPORA.get(name.partition(":")[0] if name.startswith("qa:") else name)
        if corpus is not None:
            yield from _unfit(study.data.task, corpus, key, name)


def _named_sources(data: DataSpec) -> Iterator[tuple[str, str]]:
    yield from ((f"data.source.{index}", name) for index, name in enumerate(data.source))
    yield from ((f"data.validation.{index}", name) for index, name in enumerate(data.validation or ()))


def _unfit(task: TaskSpec | None, corpus: CorpusInfo, key: str, name: str) -> Iterator[Problem]:
    if task is None:
        if corpus.task is not None:
            hint = f"name it alone, or set data.task with the columns {', '.join(corpus.columns)}"
            yield Problem(key=key, value=name, rule="holds pairs, no running text", hint=hint)
    elif not corpus.columns:
        with_columns = ", ".join(name for name, info in CORPORA.items() if info.columns)
        hint = f"corpora with columns are {with_columns}; files are .jsonl, .csv, .tsv, .parquet and .arrow"
        yield Problem(key=key, value=name, rule="is running text, without columns for data.task", hint=hint)
    else:
        for column, named_by in task.columns.items():
            if column not in corpus.columns:
                columns = f"its columns are {', '.join(corpus.columns)}"
                nearest = nearest_hint(column, corpus.columns)
                hint = f"{nearest}; {columns}" if nearest else columns
                rule = f"is not a column of {name}"
                yield Problem(key=f"data.task.{named_by}", value=column, rule=rule, hint=hint)


def _empty(task: TaskSpec) -> Iterator[Problem]:
    for key, value in task.named.items():
        if not value.strip():
            yield Problem(key=f"data.task.{key}", value=repr(value), rule="is empty; it must name a column")
