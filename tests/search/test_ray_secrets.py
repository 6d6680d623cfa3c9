"""Proves that the token of a local Ray is in no file, and that its folder is private."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mbo_search.search.run import Means, run_study
from tests.search.tiny import tiny_study

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


def files_with(secret: bytes, *folders: Path) -> list[Path]:
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in files if secret in path.read_bytes()]


def test_the_token_reaches_no_file_and_the_folder_is_private(tiny_root, tmp_path, monkeypatch):
    tokens: set[str] = set()
    modes: set[int] = set()
    leaks: list[Path] = []

    def look(_progress) -> None:
        token = os.environ.get("RAY_AUTH_TOKEN", "")
        tokens.add(token)
        for owner in Path("/tmp").glob("mbo-*/driver.pid"):
            if owner.read_text(encoding="utf-8") == str(os.getpid()):
                modes.add(stat.S_IMODE(owner.parent.stat().st_mode))
                leaks.extend(files_with(token.encode(), owner.parent) if token else [])

    monkeypatch.setenv("TMPDIR", "/tmp")
    study = tiny_study(tiny_root, "search.trials=3", "search.searcher=random", "control=0", "resources.workers=2")
    run_study(study, tmp_path / "run", Means(cache=tiny_root / "cache", backend="ray", observe=look))
    secrets = {token for token in tokens if token}
    assert len(secrets) == 1
    secret = secrets.pop()
    assert len(secret) == 32
    assert modes == {0o700}
    assert leaks == []
    assert files_with(secret.encode(), tmp_path) == []
    assert "RAY_AUTH_TOKEN" not in os.environ
