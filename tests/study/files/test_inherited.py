"""Proves that a part of a setting can be replaced wherever the rest comes from, and that the rest stays."""

from __future__ import annotations

import pytest

from mbo_search.errors import StudyError
from mbo_search.study.examples import example_path
from mbo_search.study.files.study_file import dump_study, explain_study, load_study, parse_study

QUICKSTART = example_path("quickstart")
BARE = """
study: bare
data: {source: docs, tokenizer: bytes}
model: {layers: 1, width: 16, heads: 2, context: 16}
budget: {tokens: 100k}
train: {batch_tokens: 64}
control: 0.25
stages: [{name: a, share: 0.5, optimizer: adamw}, {name: b, share: rest, optimizer: adamw}]
"""


def test_one_end_of_an_inherited_interval_can_be_set():
    study = load_study(QUICKSTART, ["stages.0.lr.relative.high=8"])
    assert study.stages[0].lr.model_dump() == {"relative": {"low": 0.25, "high": 8.0}}
    assert study.stage_defaults.lr.model_dump() == {"relative": {"low": 0.25, "high": 4.0}}
    assert study.stages[1].lr is None


def test_the_same_holds_for_the_resolved_study_of_a_run_directory(tmp_path):
    (tmp_path / "study.yaml").write_text(dump_study(load_study(QUICKSTART)), encoding="utf-8")
    study = load_study(tmp_path / "study.yaml", ["stages.0.lr.relative.high=8", "confirm.seeds=12"])
    assert study.stages[0].lr.model_dump() == {"relative": {"low": 0.25, "high": 8.0}}
    assert study.confirm.seeds == 12, "a section that is null is one that was left out"


def test_built_in_defaults_and_short_forms_are_written_out_first():
    overrides = ["stages.1.lr.relative.high=3", "stage_defaults.lr.relative.low=0.5", "control.question=tuned"]
    study = parse_study(BARE, "bare.yaml", overrides)
    assert study.stages[1].lr.model_dump() == {"relative": {"low": 0.125, "high": 3.0}}
    assert study.stage_defaults.lr.model_dump() == {"relative": {"low": 0.5, "high": 2.0}}
    assert (study.control.share, study.control.question) == (0.25, "tuned")


def test_later_settings_stand_on_earlier_ones():
    study = load_study(QUICKSTART, ["stages.0.lr.relative.high=8", "stages.0.lr.relative.low=1"])
    assert study.stages[0].lr.model_dump() == {"relative": {"low": 1.0, "high": 8.0}}


def test_what_was_written_out_counts_as_set():
    origins = explain_study(QUICKSTART, ["stages.0.lr.relative.high=8"]).origins
    assert (origins["stages.0.lr"], origins["stages.1.lr"]) == ("--set", "stage_defaults")


@pytest.mark.parametrize("setting", ["stages.9.lr.relative.high=8", "stages.0.share.low=0.5", "study.name=x"])
def test_what_has_no_parts_cannot_be_set_in_part(setting: str):
    with pytest.raises(StudyError, match=setting.partition("=")[0].rpartition(".")[0].split(".")[0]):
        parse_study(BARE, "bare.yaml", [setting])
