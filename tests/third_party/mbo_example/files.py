"""A reader of CSV files and a Markdown table of a schedule."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from mbo_search.data.document import Document
from mbo_search.data.readers import ReaderDefinition
from mbo_search.errors import DataError, Problem
from mbo_search.export.exporters import ExporterDefinition
from mbo_search.study.files.schedule_file import ScheduleFile


def _read(file: Path, text_field: str) -> Iterator[Document]:
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            for number, row in enumerate(csv.DictReader(lines, strict=True), start=1):
                if text_field not in row:
                    raise _problem(file, f"has no column {text_field}")
                yield Document(name=f"{file}:{number}", text=row[text_field] or "")
    except (UnicodeDecodeError, csv.Error) as error:
        raise _problem(file, f"cannot be read as CSV: {error}") from error


def _problem(file: Path, rule: str) -> DataError:
    return DataError([Problem(key="", rule=rule, where=str(file))])


CSV = ReaderDefinition(name="csv", version="1", summary="a row is a document", suffixes=(".csv",), read=_read)


def _markdown(file: ScheduleFile) -> str:
    rows = [
        f"| {stage.name} | {stage.share:g} | {stage.optimizer} | {stage.lr:g} | {stage.lr_shape.kind} |"
        for stage in file.schedule.stages
    ]
    return "\n".join(["| stage | share | optimizer | lr | lr_shape |", "|---|---|---|---|---|", *rows, ""])


MARKDOWN = ExporterDefinition(name="markdown", version="1", summary="a table of the stages", export=_markdown)
