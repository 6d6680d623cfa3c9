"""A finished run of a tiny study, searched through the door."""

from __future__ import annotations

from pathlib import Path

import pytest

import mbo_search as mbo
from tests.cli.tiny import write_study

QUIET = mbo.Options(backend="local", quiet=True)


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> mbo.Run:
    folder = tmp_path_factory.mktemp("door")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MBO_SEARCH_CACHE", str(folder / "cache"))
        file = write_study(folder, tokens=2560, trials=3, first="adamw, lion", control=0.33)
        return mbo.search(file, folder / "run", options=QUIET)


@pytest.fixture
def study_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(tmp_path / "cache"))
    return write_study(tmp_path, tokens=2560, trials=3, first="adamw, lion", control=0.33)
