"""JSON Schemas of the documents that a command and this program exchange, for trainers in any language."""

from __future__ import annotations

from mbo_search.study.files.schema import Schema, schema_of
from mbo_search.train.foreign.request import SpanRequest
from mbo_search.train.foreign.result import ReportLine, SpanResult


def span_request_schema() -> Schema:
    """Make the schema of the document behind `MBO_STAGE`."""
    return schema_of(SpanRequest, "mbo-search span request")


def span_result_schema() -> Schema:
    """Make the schema of the file behind `MBO_RESULT`.

    Losses may be NaN, Infinity or -Infinity, which are no JSON in the strict sense; Python's `json` writes and
    reads them.
    """
    return schema_of(SpanResult, "mbo-search span result")


def report_line_schema() -> Schema:
    """Make the schema of one line of the file behind `MBO_REPORT`."""
    return schema_of(ReportLine, "mbo-search report line")
