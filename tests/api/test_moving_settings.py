"""Proves that a study whose settings move within a stage is searched, shown, written out and trained again to its
recorded loss, to the last bit."""

from __future__ import annotations

from pathlib import Path

import pytest

import mbo_search as mbo
from mbo_search.errors import UserError
from mbo_search.export.replay import replay
from mbo_search.study.files.schedule_file import load_schedule_file
from tests.api.conftest import QUIET
from tests.cli.tiny import write_study

_DEFAULTS = """
baselines: []
stage_defaults:
  weight_decay: {timescale: [0.1, 1.0]}
  regularizers: [[{dropout: 0.1}]]
  shapes:
    weight_decay: [linear, {wsd: {decay: 0.5}}]
    beta2: {linear: {floor: [0.1, 0.5]}}
    dropout: cosine
stages:
"""


@pytest.mark.slow
def test_moving_settings_are_searched_shown_and_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(tmp_path / "cache"))
    file = write_study(tmp_path, tokens=1280, trials=3, first="adamw", control=0.34)
    file.write_text(file.read_text().replace("\nstages:\n", _DEFAULTS))
    run = mbo.search(file, tmp_path / "run", options=QUIET)
    assert (run.trials["state"] == "complete").all()
    assert "dropout cosine" in (run.path / "report.html").read_text()
    exported = run.best.export(tmp_path / "best.json").out
    found = load_schedule_file(exported)
    assert {name for stage in found.schedule.stages for name in stage.shapes} == {
        "beta2",
        "dropout",
        "weight_decay",
    }
    assert replay(found, cache=tmp_path / "cache", folder=tmp_path / "work").is_equal
    with pytest.raises(UserError, match="shapes"):
        run.best.export(tmp_path / "best.py", to="python")
