"""Proves that searchers can be compared on a table from the command line, and that mistakes are told as such."""

from __future__ import annotations

import json

import pytest

from mbo_search.cli.app import app
from mbo_search.cli.console import EXIT_OK, EXIT_USER, run_app


@pytest.fixture
def table(tmp_path):
    paths = [str(i) for i in range(3)] + [f"{i},{j}" for i in range(3) for j in range(3)]
    content = {
        "schema": "mbo-search/stage-table/1",
        "name": "nine",
        "stages": 2,
        "options": [{"optimizer": name, "lr": 0.1} for name in ("adamw", "lion", "sgd")],
        "fields": ["loss"],
        "loss": {path: [3.0 - sum(map(int, path.split(","))) / 4] for path in paths},
    }
    file = tmp_path / "table.json"
    file.write_text(json.dumps(content))
    return file


def test_searchers_are_compared_and_the_document_holds_their_curves(table, capsys):
    code = run_app(app, ["simulate", str(table), "--searcher", "grid", "--budget", "12", "--seeds", "1", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert code == EXIT_OK
    assert document["schema"] == "mbo-search/simulation/1"
    assert document["searches"][0]["regret"] == 0.0
    assert len(document["searches"][0]["curve"]) == 12


def test_an_unknown_searcher_is_named_with_those_that_exist(table, capsys):
    assert run_app(app, ["simulate", str(table), "--searcher", "oracle"]) == EXIT_USER
    assert "oracle must be one of tree" in capsys.readouterr().err


def test_a_file_that_is_no_table_is_refused(tmp_path, capsys):
    assert run_app(app, ["simulate", str(tmp_path / "none.json")]) == EXIT_USER
    assert "does not exist" in capsys.readouterr().err
    (tmp_path / "broken.json").write_text("{")
    assert run_app(app, ["simulate", str(tmp_path / "broken.json")]) == EXIT_USER
    assert "readable JSON" in capsys.readouterr().err
