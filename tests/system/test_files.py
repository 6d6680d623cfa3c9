"""Proves that a file is written whole or not at all, and that JSON never holds NaN."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mbo_search.system.files import (
    can_be_made,
    open_to_others,
    read_json,
    remove_leftovers,
    sha256_file,
    unique_sibling,
    write_atomic,
    write_json,
)


def test_text_is_written_as_utf8_and_leaves_no_other_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a.txt", "gr\u00fc\u00df \u4f60\u597d")
    assert (tmp_path / "a.txt").read_bytes().decode() == "gr\u00fc\u00df \u4f60\u597d"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_second_write_replaces_the_first(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"long old content")
    write_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_value_that_json_cannot_say_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"loss": 1.5})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"loss": float("nan")})
    assert read_json(path) == {"loss": 1.5}
    assert [found.name for found in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_reading_refuses_what_writing_refuses(tmp_path: Path, constant: str) -> None:
    (tmp_path / "a.json").write_text(f'{{"loss": {constant}}}')
    with pytest.raises(ValueError, match="is not a JSON number"):
        read_json(tmp_path / "a.json")


def test_json_is_the_same_whatever_the_order_of_keys(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"b": 1, "a": [1, None]})
    write_json(tmp_path / "b", {"a": [1, None], "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_new_files_follow_the_users_mask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_atomic(tmp_path / "a", b"")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "missing" / "a", b"")


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert sha256_file(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_leftovers_of_dead_processes_go_and_everything_else_stays(tmp_path: Path) -> None:
    old_folder, old_file = unique_sibling(tmp_path / "a"), unique_sibling(tmp_path / "b")
    old_folder.mkdir()
    (old_folder / "inner").write_text("x")
    old_file.write_text("x")
    young, kept = unique_sibling(tmp_path / "c"), tmp_path / "d"
    young.mkdir()
    kept.write_text("x")
    for path in (old_folder, old_file, kept):
        os.utime(path, (0, 0))
    remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([young, kept])
    remove_leftovers(tmp_path / "missing")


REWRITER = """
import sys
from pathlib import Path
from mbo_search.system.files import write_json
number = 0
while True:
    write_json(Path(sys.argv[1]), {"numbers": [number] * 2000})
    number += 1
"""


def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", REWRITER, str(path)])
        while not path.exists():
            time.sleep(0.01)
        time.sleep(0.05)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert len(set(read_json(path)["numbers"])) == 1
        path.unlink()


def test_text_that_is_no_unicode_is_written_with_escapes(tmp_path):
    write_atomic(tmp_path / "page.html", "caf\udce9 \u4e2d")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "caf\\udce9 \u4e2d"


@pytest.mark.parametrize(("mask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o002, 0o664, 0o775)])
def test_what_a_library_made_private_is_opened_as_the_umask_says(tmp_path, mask, file_mode, folder_mode):
    (tmp_path / "file").touch(mode=0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    before = os.umask(mask)
    try:
        open_to_others(tmp_path / "file")
        open_to_others(tmp_path / "folder")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == file_mode
    assert (tmp_path / "folder").stat().st_mode & 0o777 == folder_mode


def test_a_folder_can_be_made_where_its_nearest_parent_can_be_written(tmp_path):
    assert can_be_made(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    assert not can_be_made(tmp_path / "file" / "a")


def test_only_leftovers_of_our_own_writes_are_removed(tmp_path):
    ours = unique_sibling(tmp_path / "record.json")
    (tmp_path / ".git").mkdir()
    for path in (ours, tmp_path / ".gitignore", tmp_path / ".nfs0001"):
        path.touch()
    remove_leftovers(tmp_path, age_seconds=-1.0)
    assert {path.name for path in tmp_path.iterdir()} == {".git", ".gitignore", ".nfs0001"}
