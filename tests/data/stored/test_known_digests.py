"""Proves that a large file is digested once, and again as soon as anything about it has changed."""

from __future__ import annotations

import os

import pytest

from mbo_search.data.stored.known_digests import KnownDigests
from mbo_search.system.files import sha256_file


@pytest.fixture
def known(tmp_path):
    return KnownDigests(tmp_path / "digests", least_bytes=4, settled_seconds=0)


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "file"
    file.write_text("content")
    return file


def kept(tmp_path):
    return sorted((tmp_path / "digests").iterdir()) if (tmp_path / "digests").exists() else []


def test_a_known_file_is_not_read_again_and_nonsense_is_not_believed(tmp_path, known, file):
    assert known.sha256(file) == sha256_file(file)
    (entry,) = kept(tmp_path)
    entry.write_text("0" * 64)
    assert known.sha256(file) == "0" * 64
    entry.write_text("nonsense")
    assert known.sha256(file) == sha256_file(file)


def test_new_content_of_the_old_size_and_date_is_noticed(known, file):
    known.sha256(file)
    before = file.stat()
    file.write_text("CONTENT")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert known.sha256(file) == sha256_file(file)


def test_small_files_and_files_that_changed_just_now_are_not_remembered(tmp_path, file):
    folder = tmp_path / "digests"
    for known in (KnownDigests(folder, least_bytes=8, settled_seconds=0), KnownDigests(folder, least_bytes=1)):
        assert known.sha256(file) == sha256_file(file)
    assert kept(tmp_path) == []


def test_where_nothing_can_be_kept_digests_are_still_right(tmp_path, known, file):
    (tmp_path / "digests").write_text("a file")
    assert known.sha256(file) == sha256_file(file)
