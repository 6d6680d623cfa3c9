"""Proves that Ray's private folders do not pile up, and that nobody else's are touched."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from mbo_search.engine.backends.ray import session as ray_session
from mbo_search.engine.backends.ray.start import keep_logs


def test_folders_of_killed_drivers_are_removed_and_others_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_session, "_LONGEST_TEMPORARY_PATH", 10_000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    for name, pid in (
        ("mbo-dead", gone.stdout.decode()),
        ("mbo-alive", str(os.getpid())),
        ("mbo-odd", "no number"),
        ("mbo-elsewhere", f"{gone.stdout.decode().strip()} another-container"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "driver.pid").write_text(pid, encoding="utf-8")
    (tmp_path / "mbo-foreign").mkdir()
    fresh = ray_session._private_folder()
    assert fresh.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in tmp_path.iterdir()} == {
        *("mbo-alive", "mbo-odd", "mbo-elsewhere", "mbo-foreign"),
        fresh.name,
    }


def test_logs_are_kept_without_links_and_only_their_ends(tmp_path):
    logs = tmp_path / "session_1" / "logs"
    logs.mkdir(parents=True)
    (logs / "raylet.out").write_bytes(b"a" * (2**20 + 5) + b"end")
    (logs / "empty.err").touch()
    (logs / "link.out").symlink_to("/etc/hostname")
    kept = tmp_path / "kept"
    kept.mkdir()
    keep_logs(tmp_path, kept)
    assert [path.name for path in kept.iterdir()] == ["raylet.out"]
    assert (kept / "raylet.out").stat().st_size == 2**20
    assert (kept / "raylet.out").read_bytes().endswith(b"end")
