"""Proves that further settings of a stage are told where somebody set them, and nowhere else."""

from __future__ import annotations

from mbo_search.study.files.study_file import explain_study
from mbo_search.study.spec.dimensions.table import STAGE_DIMENSIONS
from tests.study.studies import SMALL

CYCLE = "cycle: {blocks: [attention, mlp], tokens: 1k}"


def told(tmp_path, text):
    (tmp_path / "small.yaml").write_text(text)
    return explain_study(tmp_path / "small.yaml", ()).origins


def test_what_nobody_set_is_not_told(tmp_path):
    names = {key.rpartition(".")[2] for key in told(tmp_path, SMALL) if key.startswith("stage")}
    assert "optimizer" in names
    assert not names & {"custom", *(dimension.name for dimension in STAGE_DIMENSIONS)}


def test_what_is_set_is_told_with_where_it_was_set(tmp_path):
    found = told(tmp_path, SMALL.replace("lr: 0.001}", f"lr: 0.001, {CYCLE}}}"))
    assert found["stages.0.cycle"] == "file"
    assert "stage_defaults.cycle" not in found
    found = told(tmp_path, SMALL + f"stage_defaults: {{{CYCLE}}}\n")
    assert (found["stage_defaults.cycle"], found["stages.0.cycle"]) == ("file", "stage_defaults")
