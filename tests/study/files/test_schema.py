"""Proves that the JSON Schema is current, and that it and the reader agree wherever no arithmetic is needed."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings

from mbo_search.errors import StudyError
from mbo_search.study.examples import example_names, example_path
from mbo_search.study.files.long_form import study_mapping
from mbo_search.study.files.schema import schedule_schema, schema_text, study_schema
from mbo_search.study.files.study_file import dump_study, parse_study
from mbo_search.study.files.yaml_document import read_document
from mbo_search.study.study import Study
from tests.study.studies import SMALL, studies

VALIDATOR = jsonschema.Draft202012Validator(study_schema())
STUDIES = Path(__file__).parents[3] / "studies"


def schema_accepts(text):
    return VALIDATOR.is_valid(read_document(text, "").value)


def reader_accepts(text):
    try:
        parse_study(text, "study.yaml")
    except StudyError:
        return False
    return True


def test_the_committed_schema_is_current():
    assert (STUDIES / "study.schema.json").read_text(encoding="utf-8") == schema_text()


def test_the_schema_is_a_schema():
    rules = jsonschema.Draft202012Validator(jsonschema.Draft202012Validator.META_SCHEMA)
    assert [error.message for error in rules.iter_errors(study_schema())] == []


def test_the_schema_of_schedules_is_a_schema_that_refuses_what_the_reader_refuses():
    schema = schedule_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert not jsonschema.Draft202012Validator(schema).is_valid({"stages": []})


@pytest.mark.parametrize("name", example_names())
def test_schema_and_reader_accept_every_shipped_study(name):
    text = example_path(name).read_text(encoding="utf-8")
    assert schema_accepts(text)
    assert reader_accepts(text)


@settings(suppress_health_check=list(HealthCheck), max_examples=10)
@given(studies())
def test_the_schema_accepts_whatever_is_written(study):
    assert [error.message for error in VALIDATOR.iter_errors(study_mapping(study))] == []
    assert schema_accepts(dump_study(study))


GOOD = [
    "",
    "seed: 3",
    "evaluation: {tokens: 1.5k}",
    "search: {budget: 8M, hours: 6}",
    "confirm: {top: 2, seeds: 4}",
    "confirm: null",
    "baselines: adamw_cosine",
    "reference_lr: {adamw: 1e-3}",
    "resources: {store: {limit: 2B}, workers: 4, gpus_per_trial: 0.5}",
    "stage_defaults: {regularizers: {dropout: 0.1}, trainable: norms, hand_over: [carry, reset]}",
    "stage_defaults: {lr: {relative: [0.5, 1]}, clip_norm: off, rewarm: auto, weight_decay: {low: 0.1, high: 1}}",
]

BAD = [
    "sede: 3",
    "seed: three",
    "seed: -1",
    "seed: null",
    "control: 1.0",
    "control: true",
    "evaluation: 50k",
    "evaluation: {tokens: 40q}",
    "evaluation: {tokens: 1.5}",
    "evaluation: {point: 3}",
    "search: {searcher: tpee}",
    "search: {trials: 0}",
    "search: {hours: 0}",
    "confirm: {top: 0}",
    "confirm: yes",
    "resources: {workers: many}",
    "reference_lr: {adanw: 1e-3}",
    "reference_lr: {adamw: 0}",
    "stage_defaults: {learning_rate: 1}",
    "stage_defaults: {optimizer: adanw}",
    "stage_defaults: {optimizer: []}",
    "stage_defaults: {optimizer: {adamw: {beta3: 0.9}}}",
    "stage_defaults: {optimizer: [{adamw: {}, muon: {}}]}",
    "stage_defaults: {optimizer: {adamw: {beta2: 2}}}",
    "stage_defaults: {lr_shape: {wsd: {kind: cubic}}}",
    "stage_defaults: {lr: {relative: {low: 1}}}",
    "stage_defaults: {lr: {low: 1, hihg: 2}}",
    "stage_defaults: {lr: {relative: 1, low: 2}}",
    "stage_defaults: {lr: fast}",
    "stage_defaults: {weight_decay: []}",
    "stage_defaults: {clip_norm: none}",
    "stage_defaults: {warmup: auto}",
    "stage_defaults: {regularizers: []}",
    "stage_defaults: {regularizers: [{dropout: 0.1}]}",
    "stage_defaults: {regularizers: [[dropout]]}",
    "stage_defaults: {regularizers: [[{dropout: 2}]]}",
    "stage_defaults: {trainable: []}",
    "stage_defaults: {hand_over: keep}",
]


@pytest.mark.parametrize("line", GOOD)
def test_schema_and_reader_accept_the_same_good_lines(line):
    text = f"{SMALL}{line}\n"
    assert reader_accepts(text)
    assert schema_accepts(text)


@pytest.mark.parametrize("line", BAD)
def test_schema_and_reader_refuse_the_same_bad_lines(line):
    text = f"{SMALL}{line}\n"
    assert not reader_accepts(text)
    assert not schema_accepts(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("source: docs", "source: []"),
        ("source: docs", "sources: docs"),
        ("docs}", "docs, tokenizer: word}"),
        ("docs}", "docs, tokenizer: {kind: bpe, vocab_size: 20}}"),
        ("width: 64, ", ""),
        ("{layers: 2, width: 64, heads: 2, context: 64}", "{size: huge}"),
        ("name: cool, ", ""),
        ("share: 0.5, ", ""),
        ("share: 0.5", "share: half"),
        ("study: small\n", ""),
    ],
)
def test_schema_and_reader_refuse_the_same_bad_settings(old, new):
    assert old in SMALL
    assert not reader_accepts(SMALL.replace(old, new))
    assert not schema_accepts(SMALL.replace(old, new))


def test_every_key_explains_itself():
    schema = study_schema()
    for name, field in Study.model_fields.items():
        assert schema["properties"][name].get("description"), name
        assert (name in schema["required"]) == field.is_required()
