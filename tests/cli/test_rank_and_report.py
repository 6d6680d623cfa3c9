"""Proves that `rank` and `report` tell what a run directory holds, in every form, and refuse what is none."""

from __future__ import annotations

import csv
import io
import sys

import pytest

from mbo_search.testing.runs import build_run


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search of one seed, nothing confirmed."""
    return build_run(tmp_path_factory.mktemp("runs") / "searched", num_trials=24).path


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory):
    """A search with confirm runs."""
    return build_run(tmp_path_factory.mktemp("runs") / "confirmed", num_trials=24, confirm_seeds=6).path


def test_rank_begins_with_the_ladder_and_ends_with_the_verdict_and_the_next_step(mbo, searched):
    out = mbo("rank", searched).out
    ranking = mbo("rank", searched, "--json").json()
    lines = out.splitlines()
    verdict = ranking["verdict"]
    assert lines[0] == "Ladder"
    said = [verdict["headline"], verdict["ladder_sentence"], verdict["details"]]
    assert lines[lines.index(verdict["headline"]) :][:3] == said
    assert lines[-1] == f"Next: {verdict['next']}"
    assert ranking["next"] == verdict["next"]
    table = lines[lines.index("Ladder") + 2 :][: len(ranking["ladder"])]
    assert [line.split()[0] for line in table] == ["untuned", "tuned", "shape", "settings", "switch"]
    assert "none of these is confirmed" in out
    best = ranking["trials"][0]
    assert f"{best['val_perplexity']:.2f}" in out
    assert "Tried: 24 schedules: 22 complete, 1 diverged, 1 failed." in lines


def test_rank_as_json_has_the_documented_fields(mbo, searched):
    ranking = mbo("rank", searched, "--json").json()
    assert ranking["schema"] == "mbo-search/ranking/2"
    assert {"study", "scale", "verdict", "ladder", "baseline_trial", "trials", "totals"} <= set(ranking)
    assert ranking["verdict"]["answer"] is None


def test_rank_of_a_confirmed_study_answers(mbo, confirmed):
    ranking = mbo("rank", confirmed, "--json").json()
    assert ranking["verdict"]["answer"] in ("yes", "no", "undecided")
    assert ranking["verdict"]["num_seeds"] == 6
    assert "none of these is confirmed" in mbo("rank", confirmed).out.split("Found by the search")[1]


def test_rank_as_csv_has_a_row_for_each_schedule(mbo, searched):
    rows = list(csv.DictReader(io.StringIO(mbo("rank", searched, "--csv").out)))
    ranking = mbo("rank", searched, "--json").json()
    assert [int(row["trial"]) for row in rows] == [row["trial"] for row in ranking["trials"]]


def test_rank_quietly_is_the_verdict(mbo, searched):
    assert mbo("rank", searched, "--quiet").out.count("\n") == 1


def test_rank_writes_nothing(mbo, searched):
    before = sorted(path.name for path in searched.iterdir())
    mbo("rank", searched)
    assert sorted(path.name for path in searched.iterdir()) == before


def test_report_writes_one_page(mbo, confirmed, tmp_path):
    page = tmp_path / "page.html"
    ended = mbo("report", confirmed, "--out", page)
    assert ended.code == 0
    assert page.read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    assert mbo("report", confirmed, "-o", page, "--json").json()["file"] == str(page)


def test_a_page_that_cannot_be_written_has_code_2(mbo, confirmed, tmp_path):
    ended = mbo("report", confirmed, "--out", tmp_path / "missing" / "page.html")
    assert ended.code == 2
    assert "cannot be written" in ended.err


@pytest.mark.parametrize("command", ["rank", "report"])
def test_what_is_no_run_directory_has_code_2(command, mbo, tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        ended = mbo(command, folder)
        assert ended.code == 2
        assert str(folder) in ended.err


def test_compare_writes_one_page_of_several_runs(mbo, searched, confirmed, tmp_path):
    page = tmp_path / "comparison.html"
    answer = mbo("compare", searched, f"{confirmed}:0", "--out", page, "--json").json()
    assert answer["schema"] == "mbo-search/compare/1"
    assert answer["file"] == str(page)
    assert "<html" in page.read_text(encoding="utf-8")


def test_compare_says_what_draws_figures_where_it_is_missing(mbo, searched, confirmed, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kaleido", None)
    page = tmp_path / "comparison.html"
    refused = mbo("compare", searched, f"{confirmed}:0", "--out", page, "--figures", tmp_path / "figures")
    assert refused.code == 2
    assert "mbo-search[figures]" in refused.err
    assert page.exists()


def test_compare_refuses_a_folder_that_is_no_run(mbo, searched, tmp_path):
    refused = mbo("compare", searched, tmp_path)
    assert refused.code == 2
    assert str(tmp_path) in refused.err


def test_a_report_can_be_in_chinese(mbo, confirmed, tmp_path):
    page = tmp_path / "report.html"
    mbo("report", confirmed, "--lang", "zh", "--out", page)
    assert '<html lang="zh' in page.read_text(encoding="utf-8")
