"""Proves that fragments say what they are given, and that nothing in them is read as markup."""

from __future__ import annotations

from mbo_search.system.fragments import fragment, grid, paragraphs


def test_everything_is_escaped():
    hostile = "<script>alert('1')</script>"
    made = fragment(hostile, paragraphs(hostile), grid([(hostile, hostile)], header=(hostile,)))
    assert "<script" not in made
    assert made.count("&lt;script&gt;") == 5


def test_what_is_empty_is_left_out():
    assert fragment("said", paragraphs("", "")).count("<p") == 1
