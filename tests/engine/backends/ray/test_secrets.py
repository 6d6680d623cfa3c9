"""Proves that the token of a local Ray is in no file, and that its folder is private."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mbo_search.study.files.study_file import dump_study
from mbo_search.testing.studies import tiny_study

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

# A process of its own: Ray decides once in a process whether tokens are used.
DRIVER = """
import json, os, stat, sys
from pathlib import Path
from mbo_search.engine.run import RunOptions, run_study
from mbo_search.study.files.study_file import load_study

tokens, modes, leaks = set(), set(), set()

def look(progress):
    token = os.environ.get("RAY_AUTH_TOKEN", "")
    tokens.add(token)
    for owner in Path("/tmp").glob("mbo-*/driver.pid"):
        if owner.read_text(encoding="utf-8").split()[0] == str(os.getpid()):
            modes.add(stat.S_IMODE(owner.parent.stat().st_mode))
            files = [path for path in owner.parent.rglob("*") if path.is_file() and not path.is_symlink()]
            leaks.update(str(path) for path in files if token and token.encode() in path.read_bytes())

study, out, cache = map(Path, sys.argv[1:])
run_study(load_study(study), out, RunOptions(cache=cache, backend="ray", observe=look))
print(json.dumps([sorted(tokens - {""}), sorted(modes), sorted(leaks), "RAY_AUTH_TOKEN" in os.environ]))
"""


def test_the_token_reaches_no_file_and_the_folder_is_private(tiny_root, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/tmp")
    study = tiny_study(tiny_root, "search.trials=3", "search.searcher=random", "control=0", "resources.workers=2")
    file = tmp_path / "study.yaml"
    file.write_text(dump_study(study), encoding="utf-8")
    command = [sys.executable, "-c", DRIVER, str(file), str(tmp_path / "run"), str(tiny_root / "cache")]
    driver = subprocess.run(command, text=True, capture_output=True, timeout=400, check=False)
    assert driver.returncode == 0, driver.stderr
    tokens, modes, leaks, is_left = json.loads(driver.stdout.splitlines()[-1])
    assert [len(token) for token in tokens] == [32]
    assert modes == [0o700]
    assert leaks == []
    assert not is_left
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [path for path in files if tokens[0].encode() in path.read_bytes()] == []
