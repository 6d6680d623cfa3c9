"""Proves that cleaning gives text that UTF-8 can hold, in one spelling, and that it is finished after one pass."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.data.clean import clean_cut, clean_text, cleaned, weighted_length

ANY_TEXT = st.text(alphabet=st.characters(), max_size=80)


@given(ANY_TEXT)
def test_cleaning_twice_changes_nothing_more(text):
    assert clean_text(clean_text(text)) == clean_text(text)


@given(ANY_TEXT)
def test_clean_text_is_encodable_normal_and_without_controls(text):
    clean = clean_text(text)
    clean.encode("utf-8")
    assert unicodedata.is_normalized("NFC", clean)
    assert not [c for c in clean if unicodedata.category(c) == "Cc" and c not in "\t\n"]


@given(st.lists(st.sampled_from(["word", " ", "\r", "\n", "\x00", "e", "\u0301", "\u4f60", "\u2028"]), max_size=40))
def test_parts_cut_anywhere_that_is_allowed_are_cleaned_as_the_whole(pieces):
    text = "".join(pieces)
    places = sorted({clean_cut(text, last) for last in range(len(text))} | {0, len(text)})
    parts = [text[first:last] for first, last in itertools.pairwise(places)]
    assert "".join(cleaned(parts)) == clean_text(text)


def test_line_ends_of_all_systems_become_newlines():
    assert clean_text("a\r\nb\rc\x85d\u2028e\u2029f\ng") == "a\nb\nc\nd\ne\nf\ng"


def test_lone_surrogates_and_byte_order_marks_vanish():
    assert clean_text("\ufeffa\ud800b\udfff") == "ab"


def test_indentation_of_the_first_line_stays():
    assert clean_text("\n\n    def f():\n        pass  \n\n") == "    def f():\n        pass"


def test_a_combining_mark_after_a_dropped_control_joins_its_letter():
    assert clean_text("e\x00\u0301") == "\u00e9"


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("plain text", 10),
        ("\u4f60\u597d\u3002", 9),
        ("\u3053\u3093", 8),
        ("\uc548\ub155", 8),
        ("na\u00efve \u043c\u0438\u0440", 9),
    ],
)
def test_dense_scripts_count_fourfold(text, length):
    assert weighted_length(text) == length
