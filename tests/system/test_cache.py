"""Proves that there is a place for prepared data that nobody else can have put there, or a clear word."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import pytest

from mbo_search.errors import UserError
from mbo_search.system import cache
from mbo_search.system.cache import user_cache


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No variable set, temporary files below the test's own folder, and a user without a home."""
    for name in ("MBO_SEARCH_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Path, "home", homeless)
    cache._temporary.cache_clear()
    yield
    cache._temporary.cache_clear()


def homeless() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_the_variable_is_followed_and_may_begin_with_a_tilde(monkeypatch):
    monkeypatch.setenv("MBO_SEARCH_CACHE", "/some/where")
    assert user_cache() == Path("/some/where")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("MBO_SEARCH_CACHE", "~/mine")
    assert user_cache() == Path("/home/me/mine")


@pytest.mark.parametrize(
    ("value", "told"), [("", "is empty"), (" ", "is empty"), ("~nosuchuser/x", "the home of a user who has none")]
)
def test_a_variable_that_names_nothing_is_an_error(monkeypatch, value: str, told: str):
    monkeypatch.setenv("MBO_SEARCH_CACHE", value)
    with pytest.raises(UserError, match=f"MBO_SEARCH_CACHE: .*{told}"):
        user_cache()


def test_a_relative_or_empty_desktop_variable_names_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert user_cache() == tmp_path / "home" / ".cache" / "mbo-search"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert user_cache() == tmp_path / "xdg" / "mbo-search"


def test_a_user_without_a_home_gets_a_private_folder_and_is_told(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        folder = user_cache()
    assert folder == tmp_path / f"mbo-search-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert f"this user has no home folder: prepared data are kept in {folder}; MBO_SEARCH_CACHE" in caplog.text
    assert user_cache() == folder
    assert caplog.text.count("no home folder") == 1, "once is enough"


def test_a_home_that_cannot_be_written_is_passed_over(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(Path, "home", lambda: Path("/dev/null"))
    with caplog.at_level(logging.WARNING):
        assert user_cache() == tmp_path / f"mbo-search-{os.getuid()}"
    assert "/dev/null/.cache/mbo-search cannot be written" in caplog.text


def test_a_folder_that_somebody_else_laid_there_is_not_entered(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"mbo-search-{os.getuid()}").symlink_to(tmp_path / "theirs")
    with pytest.raises(UserError, match=r"MBO_SEARCH_CACHE: is not set, .* belongs to somebody else"):
        user_cache()


def test_no_place_at_all_is_an_error_that_names_the_variable(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/dev/null/nothing")
    with pytest.raises(UserError, match="MBO_SEARCH_CACHE: is not set, and neither a home nor a temporary folder"):
        user_cache()
