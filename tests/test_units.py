"""Proves that units are converted right, and that what is written for people can be read back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.units import (
    bits_per_byte,
    format_bytes,
    format_count,
    format_seconds,
    parse_count,
    perplexity,
    round_significant,
)


@pytest.mark.parametrize(
    ("text", "count"),
    [("400k", 400_000), ("2M", 2_000_000), ("1B", 10**9), ("1.5k", 1500), (" 7 ", 7), (12, 12), ("0", 0)],
)
def test_counts_are_read_with_and_without_suffix(text, count):
    assert parse_count(text) == count


@pytest.mark.parametrize("text", ["", "k", "400kk", "1.5", "0.0001k", "ten", "inf", "nan", "1e400"])
def test_what_is_no_whole_number_is_refused(text):
    with pytest.raises(ValueError, match=r"not|could"):
        parse_count(text)


@given(st.integers(min_value=0, max_value=10**12))
def test_formatted_counts_stay_within_half_a_percent(count):
    assert abs(parse_count_loosely(format_count(count)) - count) <= 0.005 * count


def parse_count_loosely(text):
    factors = {"k": 1e3, "M": 1e6, "B": 1e9}
    return float(text[:-1]) * factors[text[-1]] if text[-1] in factors else float(text)


@given(st.floats(min_value=1e-12, max_value=1e12), st.integers(min_value=1, max_value=6))
def test_rounding_twice_changes_nothing(value, digits):
    once = round_significant(value, digits)
    assert round_significant(once, digits) == once
    assert math.isclose(once, value, rel_tol=0.5 * 10 ** (1 - digits) + 1e-12)


def test_rounding_keeps_sign_and_zero():
    assert round_significant(-0.0123456) == -0.0123
    assert round_significant(0.0) == 0.0


def test_a_uniform_guess_among_n_tokens_has_perplexity_n():
    assert perplexity(math.log(1024)) == pytest.approx(1024)
    assert perplexity(1e6) == math.inf


def test_bits_per_byte_of_uniform_bytes_is_eight():
    assert bits_per_byte(math.log(256), 1.0) == pytest.approx(8.0)


def test_durations_and_sizes_name_their_units():
    assert [format_seconds(s) for s in (0.04, 59.94, 60, 3599, 3600)] == [
        "0.0 s",
        "59.9 s",
        "1 min 0 s",
        "59 min 59 s",
        "1 h 0 min",
    ]
    assert [format_bytes(n) for n in (0, 1023, 1024, 2**30)] == ["0 B", "1023 B", "1.0 KiB", "1.0 GiB"]
