"""Proves that figures become files which look like the page at first sight, and that what is missing is named."""

from __future__ import annotations

import sys

import pytest

from mbo_search.errors import UserError
from mbo_search.report.comparison.compare import write_comparison_figures
from mbo_search.report.comparison.compared_runs import open_compared_runs
from mbo_search.report.figures.first_view import first_view
from mbo_search.report.page.static_figures import write_figures
from mbo_search.report.source import read_source
from mbo_search.report.style.palette import LIGHT
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.testing.runs import build_run, make_setup, make_study


def drawn(traces, notes=()):
    return {"data": traces, "layout": {"margin": {"l": 40, "r": 40}, "annotations": list(notes)}}


def test_lines_that_wait_for_the_reader_are_left_out():
    traces = [{"name": place, "meta": {"place": place, "few": False}} for place in range(8)]
    traces += [{"name": "legend"}, {"name": "tuned", "meta": {"place": 0, "few": True}}]
    names = [trace["name"] for trace in first_view(drawn(traces), {"top": "5"})["data"]]
    assert names == [0, 1, 2, 3, 4, "legend", "tuned"]
    assert len(first_view(drawn(traces), {})["data"]) == 10


def test_the_legend_names_only_optimizers_that_are_drawn():
    traces = [
        {"name": "line", "meta": {"place": 0, "few": False, "optimizer": "muon"}},
        {"name": "waiting", "meta": {"place": 7, "few": False, "optimizer": "lion"}},
        {"name": "muon", "meta": {"place": -1, "names": "muon"}},
        {"name": "lion", "meta": {"place": -1, "names": "lion"}},
        {"name": "switch", "meta": {"place": -1}},
    ]
    assert [trace["name"] for trace in first_view(drawn(traces), {"top": "5"})["data"]] == [
        "line",
        "muon",
        "switch",
    ]


def test_captions_are_shortened_where_they_do_not_fit():
    notes = [{"text": "adamw 1e-3 constant", "name": f"fit|{share}|adamw"} for share in (0.5, 0.1, 0.01)]
    kept = first_view(drawn([], [*notes, {"text": "a heading"}]), {})["layout"]["annotations"]
    assert [note["text"] for note in kept] == ["adamw 1e-3 constant", "adamw", "a heading"]


def test_colors_are_those_of_light_paper():
    assert first_view(drawn([{"line": {"color": "var(--ink)"}}]), {})["data"][0]["line"]["color"] == LIGHT["ink"]


def test_a_study_without_results_has_no_figures(tmp_path):
    study = make_study(3)
    run = RunDirectory.create(tmp_path / "run", study, make_setup(study))
    assert write_figures(read_source(run), tmp_path / "figures") == ()


def test_what_draws_is_named_where_it_is_missing(tmp_path, monkeypatch):
    run = build_run(tmp_path / "run", num_trials=4)
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(UserError, match=r"mbo-search\[figures\]"):
        write_figures(read_source(run), tmp_path / "figures")


@pytest.mark.browser
def test_every_figure_is_written_as_svg_and_png(tmp_path):
    run = build_run(tmp_path / "run", num_trials=40, confirm_seeds=2, seed=1)
    files = write_figures(read_source(run), tmp_path / "figures" / "new", language="zh")
    assert {file.stem for file in files} >= {"picture", "timelines", "curves", "lr", "parallel", "pareto", "tree"}
    assert all(file.read_bytes().startswith(b"<svg" if file.suffix == ".svg" else b"\x89PNG") for file in files)
    assert "验证困惑度" in (tmp_path / "figures" / "new" / "history.svg").read_text(encoding="utf-8")


@pytest.mark.browser
def test_figures_of_a_comparison_are_written(tmp_path):
    run = build_run(tmp_path / "run", num_trials=20, confirm_seeds=2, seed=1)
    files = write_comparison_figures(open_compared_runs([str(run.path), f"{run.path}:0"]), tmp_path / "figures")
    assert [file.name for file in files] == ["timelines.svg", "timelines.png", "overlay.svg", "overlay.png"]
    assert files[0].read_bytes().startswith(b"<svg")
    assert files[1].read_bytes().startswith(b"\x89PNG")


@pytest.mark.browser
def test_a_browser_that_is_missing_is_named(tmp_path, monkeypatch):
    run = build_run(tmp_path / "run", num_trials=4)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "nothing"))
    with pytest.raises(UserError, match="Chrome or Chromium"):
        write_figures(read_source(run), tmp_path / "figures")
