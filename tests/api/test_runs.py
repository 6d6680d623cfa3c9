"""Proves that a run shows what its directory holds: tables, verdict, schedules, figures and pages."""

from __future__ import annotations

import json
from pathlib import Path

import plotly.graph_objects as go
import pytest

import mbo_search as mbo
from mbo_search.study.files.schedule_file import load_schedule_file


def test_tables_hold_what_the_directory_holds(searched):
    ranking = json.loads((searched.path / "ranking.json").read_text())
    assert list(searched.ranking["trial"]) == [row["trial"] for row in ranking["trials"]]
    assert len(searched.trials) == len(list((searched.path / "trials").glob("[0-9]*[0-9].json")))
    assert set(searched.curves["trial"]) <= set(searched.trials["trial"])
    assert searched.ranking["val_loss"].notna().any()


def test_the_verdict_prints_as_its_sentence_and_holds_numbers(searched):
    assert str(searched.verdict) == searched.verdict.sentence
    assert searched.verdict.winner_trial in set(searched.ranking["trial"])


def test_the_best_schedule_is_a_schedule_that_can_be_saved(searched, tmp_path):
    best = searched.best
    assert isinstance(best, mbo.Schedule)
    assert best.provenance.trial == searched.verdict.winner_trial
    saved = best.save(tmp_path / "best.yaml")
    written, exported = saved.read_text(), (searched.path / "best.yaml").read_text()
    assert without_date(written) == without_date(exported)


def without_date(text: str) -> list[str]:
    return [line for line in text.splitlines() if "created" not in line]


def test_schedules_are_exported_in_any_format(searched, tmp_path):
    one = searched.best.export(tmp_path / "best.json")
    assert (one.trial, one.form) == (searched.best.provenance.trial, "json")
    several = searched.export(tmp_path / "top.txt", to="yaml", top=2)
    assert [exported.out.name for exported in several] == ["top-1.txt", "top-2.txt"]
    assert load_schedule_file(one.out).schedule == load_schedule_file(several[0].out).schedule


def test_a_loaded_run_is_equal_to_the_searched_one(searched):
    loaded = mbo.load_run(searched.path)
    assert loaded.result == searched.result
    assert loaded.study == searched.study
    assert loaded.summary is None


def test_figures_are_drawn_by_name(searched):
    assert "timelines" in searched.figures
    for name in searched.figures:
        assert isinstance(searched.figure(name), go.Figure)


def test_a_wrong_figure_is_answered_with_the_names(searched):
    with pytest.raises(mbo.UserError, match="timelines"):
        searched.figure("timeline")


def test_a_notebook_shows_the_first_screen(searched):
    shown = searched._repr_html_()
    assert searched.verdict.sentence.split(".")[0].replace("'", "&#39;") in shown
    assert "<script" not in shown


def test_a_report_goes_where_it_is_asked_for(searched, tmp_path):
    page = searched.report(tmp_path / "page.html")
    assert page == tmp_path / "page.html"
    assert "<!doctype html>" in page.read_text()[:100].lower()


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(mbo.UserError):
        mbo.load_run(tmp_path)


def test_runs_are_compared(searched, tmp_path):
    first, second = (f"{searched.path}:{trial}" for trial in list(searched.ranking["trial"])[:2])
    comparison = mbo.compare([first, second])
    assert comparison.verdict in repr(comparison)
    assert comparison.save(tmp_path / "comparison.html").stat().st_size > 10_000


def test_one_run_is_not_a_comparison(searched):
    with pytest.raises(mbo.UserError):
        mbo.compare([searched])


def test_a_run_names_its_folder_and_its_verdict(searched):
    assert str(Path(searched.path)) in repr(searched)
    assert searched.verdict.sentence in repr(searched)
