"""Proves that the published schemas accept what is asked and answered, and refuse what the program refuses."""

from __future__ import annotations

import json

import jsonschema
import pytest

from mbo_search.train.foreign.request import span_request
from mbo_search.train.foreign.result import ReportLine, SpanResult
from mbo_search.train.foreign.schemas import report_line_schema, span_request_schema, span_result_schema
from tests.helpers.foreign import small_path, small_setup


def accepts(schema, document):
    return jsonschema.Draft202012Validator(schema).is_valid(document)


@pytest.mark.parametrize("make", [span_request_schema, span_result_schema, report_line_schema])
def test_the_schemas_are_schemas_that_explain_each_key(make):
    schema = make()
    jsonschema.Draft202012Validator.check_schema(schema)
    undescribed = [name for name, own in schema["properties"].items() if "description" not in own]
    assert undescribed in ([], ["schema_version"])


def test_every_request_is_accepted():
    path = small_path(small_setup())
    for segments in (path.segments, path.segments[4:], path.segments[:1]):
        request = span_request(segments, key="k", seed=3, total_steps=40)
        document = json.loads(request.model_dump_json())
        assert accepts(span_request_schema(), document)
        assert not accepts(span_request_schema(), {**document, "parts": []})
        assert not accepts(span_request_schema(), {**document, "unheard_of": 1})


@pytest.mark.parametrize(
    "result",
    [
        SpanResult(val_loss=3.5),
        SpanResult(val_loss=float("nan")),
        SpanResult(
            val_loss=3.5, averaged_val_loss=3.4, accuracy=0.3, metrics={"bleu": 12.0}, tokens=9, seconds=0.5
        ),
    ],
)
def test_results_are_accepted_as_they_are_written(result):
    assert accepts(span_result_schema(), json.loads(result.model_dump_json()))


@pytest.mark.parametrize(
    "document", [{}, {"val_loss": "low"}, {"val_loss": 3.5, "accuracy": 2}, {"val_loss": 3.5, "loss": 3.5}]
)
def test_results_that_are_refused_break_the_schema(document):
    assert not accepts(span_result_schema(), document)
    with pytest.raises(ValueError, match="SpanResult"):
        SpanResult.model_validate(document)


def test_a_report_line_may_say_anything_besides():
    line = {"step": 12, "train_loss": 2.5, "temperature": "warm"}
    assert accepts(report_line_schema(), line)
    assert ReportLine.model_validate(line).others == {"temperature": "warm"}
    assert not accepts(report_line_schema(), {"train_loss": 2.5})
