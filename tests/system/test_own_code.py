"""Checks that code of the user's own runs with leave only, and once for every content."""

from __future__ import annotations

import pytest

from mbo_search.errors import ALLOW_CODE, StudyError
from mbo_search.system.own_code import check_code_allowed, module_of_file


def test_nothing_runs_without_leave(monkeypatch):
    monkeypatch.delenv(ALLOW_CODE, raising=False)
    with pytest.raises(StudyError, match=r"key: value may do anything \(read it, and give --allow-code"):
        check_code_allowed("key", "value", "may do anything")
    monkeypatch.setenv(ALLOW_CODE, "1")
    check_code_allowed("key", "value", "may do anything")


def test_a_file_is_run_once_under_a_name(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("value = object()\n")
    first = module_of_file(file, "mbo_search_test_once")
    assert module_of_file(file, "mbo_search_test_once") is first


def test_a_file_that_fails_leaves_no_module(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("1 / 0\n")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            module_of_file(file, "mbo_search_test_failing")
