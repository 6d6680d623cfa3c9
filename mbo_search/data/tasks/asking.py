"""From rows to examples: a prompt and what is asked for after it, each cleaned by itself and put together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from mbo_search.data.clean import clean_text
from mbo_search.data.document import Document, Row
from mbo_search.data.files.decoding import file_problem
from mbo_search.data.tasks.chats import ChatTemplate
from mbo_search.errors import DataError
from mbo_search.study.spec.task import TaskSpec, columns_of, fill, is_template


def examples(rows: Iterable[Row], task: TaskSpec, template: ChatTemplate) -> Iterator[Document]:
    """Make an example of each row; one whose prompt or completion is empty has no text and asks for nothing.

    Raises:
        DataError: At the first row that cannot be made one, with the key of the column.
    """
    for row in rows:
        try:
            yield _example(row, task, template)
        except DataError as error:
            raise with_task_keys(error, task) from error


def with_task_keys(error: DataError, task: TaskSpec) -> DataError:
    """Name the key of the task that names a column with which something is wrong."""
    keys = {column: f"data.task.{key}" for column, key in task.columns.items()}
    return DataError(
        [replace(problem, key=keys.get(problem.value or "", problem.key)) for problem in error.problems]
    )


def _example(row: Row, task: TaskSpec, template: ChatTemplate) -> Document:
    if task.form == "messages":
        assert task.messages is not None
        document = template.example(row.values[task.messages], row.name)
    else:
        given, wanted = (task.text, task.label) if task.form == "label" else (task.prompt, task.completion)
        assert given is not None
        assert wanted is not None
        document = _pair(_prompt(given, row), _filled(wanted, row), row.name)
    return document if task.group is None else replace(document, group=_filled(task.group, row))


def _pair(prompt: str, completion: str, name: str) -> Document:
    if not (prompt.strip() and completion.strip()):
        return Document(name=name, text="", asked=())
    text = prompt + completion
    return Document(name=name, text=text, asked=((len(prompt), len(text)),))


def _prompt(value: str, row: Row) -> str:
    """A template as it is; the text of a column with a line end, so that a model can tell where it is over."""
    filled = _filled(value, row)
    return filled if is_template(value) or not filled else f"{filled}\n"


def _filled(value: str, row: Row) -> str:
    texts = {column: _text(row.values[column], column, row.name) for column in columns_of(value)}
    # A template about empty columns would be text about nothing.
    return fill(value, texts) if any(text.strip() for text in texts.values()) else ""


def _text(value: object, column: str, where: str) -> str:
    """What a column holds, as clean text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return clean_text(str(value))
    inner = f"{column}.{next(iter(value))}" if isinstance(value, Mapping) and value else ""
    hint = f"name a part of it, such as {inner}" if inner else "write one text for each row first"
    error = file_problem(where, f"must hold text or numbers, not {type(value).__name__}", hint)
    raise DataError([replace(problem, value=column) for problem in error.problems])
