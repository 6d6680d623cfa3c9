"""Proves that results are found where they were left, and that anything else is an error in words."""

from __future__ import annotations

import math

import pytest

from mbo_search.judging.results import NoResultError, read_result


@pytest.fixture
def log(tmp_path):
    return tmp_path / "run.log"


def test_the_file_comes_before_the_output(tmp_path, log):
    log.write_text('{"val_loss": 1}\n')
    (tmp_path / "result.json").write_text('{"val_loss": 2, "ok": true, "name": "x", "metrics": {"f1": 0.5}}')
    assert read_result(tmp_path, log) == {"val_loss": 2.0, "metrics.f1": 0.5}


def test_the_last_object_of_the_output_counts_whatever_follows_it(tmp_path, log):
    log.write_text('{"val_loss": 1}\nstep 5\n{"val_loss": NaN, "big": 1e999}\n{broken\nwarning: late\n')
    found = read_result(tmp_path, log)
    assert math.isnan(found["val_loss"])
    assert math.isinf(found["big"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "result.json is no JSON object"),
        ('{"name": "x"}', "holds no number"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_a_file_that_is_no_result_is_not_passed_over(tmp_path, log, text, said):
    log.write_text('{"val_loss": 1}\n')
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(NoResultError, match=said):
        read_result(tmp_path, log)


def test_no_result_says_what_was_looked_for(tmp_path, log):
    with pytest.raises(NoResultError, match=r"left no result\.json and printed no line"):
        read_result(tmp_path, log)


def test_a_whole_number_beyond_all_measure_is_infinite(tmp_path, log):
    log.write_text('{"val_loss": 1' + "0" * 400 + "}\n")
    assert math.isinf(read_result(tmp_path, log)["val_loss"])
