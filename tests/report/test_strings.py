"""Proves that every language has every text, with the same blanks to fill.

Only the verdict's sentence differs: English takes over the ranking's own, the others are composed of its values.
"""

from __future__ import annotations

import string

import pytest

from mbo_search.report.strings import LANGUAGES, load_strings
from mbo_search.study.specs import ControlSpec


def blanks(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_say_the_same(language):
    english, other = load_strings("en").groups, load_strings(language).groups
    assert {group: sorted(texts) for group, texts in other.items()} == {
        group: sorted(texts) for group, texts in english.items()
    }
    different = [
        (group, key)
        for group, texts in english.items()
        for key, text in texts.items()
        if blanks(text) != blanks(other[group][key]) and group != "sentence"
    ]
    assert different == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_study_about_one_optimizer_has_words_of_its_own_with_the_same_blanks(language):
    usual = load_strings(language, ControlSpec(share=0.5)).groups
    assert usual == load_strings(language).groups
    of_optimizers = load_strings(language, ControlSpec(keeps="optimizer")).groups
    different = {
        (group, key) for group, texts in usual.items() for key in texts if texts[key] != of_optimizers[group][key]
    }
    assert different == {tuple(path.split(".")) for path in usual["one_optimizer"]}
    assert all(blanks(usual[group][key]) == blanks(of_optimizers[group][key]) for group, key in different)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_empty(language):
    assert all(text.strip() for texts in load_strings(language).groups.values() for text in texts.values())
