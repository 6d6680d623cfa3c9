"""One trained run directory for all tests of this folder; they only read it."""

from __future__ import annotations

import pytest

from mbo_search.results.records.run_directory import RunDirectory
from tests.export.trained import build_trained_run


@pytest.fixture(scope="session")
def trained_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("trained")
    build_trained_run(root)
    return root


@pytest.fixture(scope="session")
def run(trained_root):
    return RunDirectory.open(trained_root / "run")


@pytest.fixture(scope="session")
def cache(trained_root):
    return trained_root / "cache"


@pytest.fixture(autouse=True)
def _own_cache(cache, monkeypatch):
    """What a run needs again of its data lies where it was prepared."""
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(cache))
