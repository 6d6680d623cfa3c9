"""Proves that durations and percentages are read as people write them, and anything else is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mbo_search.errors import UserError
from mbo_search.judging.question import JudgeQuestion, parse_duration, parse_percent


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h", 7200), ("90min", 5400), ("1.5 m", 90), ("1d 1H", 90000), ("45s", 45)]
)
def test_durations_have_units(text, seconds):
    assert parse_duration(text, "--budget") == seconds


@pytest.mark.parametrize("text", ["", "2", "2x", "h", "0s", "-1h", "1h later"])
def test_other_durations_are_refused_by_name(text):
    with pytest.raises(UserError, match=r"--budget: .*must be a duration"):
        parse_duration(text, "--budget")


@pytest.mark.parametrize("text", ["", "0", "100%", "nan", "half", "-1%"])
def test_other_percentages_are_refused_by_name(text):
    with pytest.raises(UserError, match=r"--worthwhile: .*must be a percentage"):
        parse_percent(text, "--worthwhile")


def test_fewer_pairs_than_can_decide_are_refused():
    with pytest.raises(ValidationError):
        JudgeQuestion(max_seeds=5)


def test_seeds_follow_the_first_one():
    question = JudgeQuestion(first_seed=7, max_seeds=6)
    assert question.seeds == (7, 8, 9, 10, 11, 12)
