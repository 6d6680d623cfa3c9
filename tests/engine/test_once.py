"""Proves that what one step of a run has worked out is passed on, and not read or worked out again by the next."""

from __future__ import annotations

from collections import Counter

import pytest

from mbo_search.data import prepare
from mbo_search.engine import run as engine_run
from mbo_search.engine.run import RunOptions, run_study
from mbo_search.results.records import hostile_files, run_directory
from mbo_search.testing.studies import tiny_study


@pytest.fixture
def counted(monkeypatch):
    """Counts the calls of functions that read or work out something."""
    calls = Counter()

    def count(module, name):
        original = getattr(module, name)

        def counting(*args, **kwargs):
            calls[name] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, counting)

    for module, name in (
        (run_directory, "parse_study"),
        (hostile_files, "read_description"),
        (run_directory, "read_description"),
        (engine_run, "make_ranking"),
        (prepare, "load_prepared"),
    ):
        count(module, name)
    return calls


def test_one_run_parses_ranks_and_opens_once(counted, tiny_root, tmp_path):
    study = tiny_study(tiny_root, "search.trials=3", "control=0")
    summary = run_study(study, tmp_path / "run", RunOptions(cache=tiny_root / "cache", backend="local"))
    assert (summary.study, summary.run.study()) == (study, study)
    assert summary.setup == summary.run.setup()
    assert summary.ranking.verdict.winner_trial is not None
    found = dict(counted)
    assert found.pop("load_prepared") == 1
    assert found.pop("make_ranking") == 1
    assert not found, "nothing is read in the process that wrote it"
