"""Proves that commands end with the sensible next one, ready to be pasted, also where names need quotes."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from mbo_search.cli.app import app
from mbo_search.testing.runs import build_run
from tests.cli.tiny import write_study


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a blank in its name, a study and a searched run directory."""
    folder = tmp_path_factory.mktemp("a b") / "my study"
    folder.mkdir()
    write_study(folder, tokens=3840, trials=3, first="adamw", control=0.33)
    build_run(folder / "run", num_trials=12, confirm_seeds=6)
    return folder


@pytest.mark.parametrize(
    ("command", "following"),
    [
        (["init", "new one.yaml"], "plan"),
        (["validate", "study.yaml", "--set", "search.trials=2"], "plan"),
        (["rank", "run"], None),
        (["tree", "run"], "report"),
        (["export", "run", "-o", "best one.yaml"], "train"),
        (["list", "optimizers"], "init"),
    ],
)
def test_a_command_ends_with_one_that_can_be_pasted(command, following, mbo, place, monkeypatch):
    monkeypatch.chdir(place)
    ended = mbo(*command)
    assert ended.code == 0, ended.err
    last = ended.out.splitlines()[-1]
    assert last.startswith("Next: ")
    pasted = shlex.split(last.rpartition(": mbo-search ")[2])
    assert following in (None, pasted[0])
    get_command(app).commands[pasted[0]].make_context(pasted[0], pasted[1:])
    assert mbo(*command, *(["--force"] if command[0] == "init" else []), "--json").json()["next"] == last[6:]


def test_settings_of_a_command_are_those_of_the_next(mbo, place, monkeypatch):
    monkeypatch.chdir(place)
    ended = mbo("validate", "study.yaml", "--set", "search={trials: 2}", "--json")
    assert ended.json()["next"].endswith("mbo-search plan study.yaml --set 'search={trials: 2}'")
    example = mbo("validate", "--example", "quickstart", "--json")
    assert example.json()["next"].endswith("mbo-search plan --example quickstart")


@pytest.mark.parametrize("command", [["report", "run"], ["compare", "run", "run:0"]])
def test_a_page_is_to_be_opened(command, mbo, place, monkeypatch, tmp_path):
    monkeypatch.chdir(place)
    page = tmp_path / "a page.html"
    last = mbo(*command, "--out", page).out.splitlines()[-1]
    assert last == f"Next: open it in a browser: {Path(page).as_uri()}"


def test_a_table_of_values_is_followed_by_nothing(mbo, place, monkeypatch):
    monkeypatch.chdir(place)
    assert "Next:" not in mbo("rank", "run", "--csv").out
    assert mbo("rank", "run", "--quiet").out.count("\n") == 1


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_a_ranking_fits_the_columns_that_are_asked_for(columns, mbo, place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = mbo("rank", "run").out.splitlines()
    next_step = lines.pop()
    assert next_step.startswith("Next: ")
    assert max(map(len, lines)) <= columns
    text = " ".join(" ".join(lines).split())
    ranking = mbo("rank", "run", "--json").json()
    for part in (ranking["verdict"]["headline"], ranking["verdict"]["details"], "Confirmed on fresh seeds"):
        assert part in text
    best = ranking["trials"][0]["stages"][0]
    assert f"{100 * best['share']:.4g} % {best['optimizer']} {best['lr']:.4g} {best['lr_shape']['kind']}" in text
