"""Proves that every language has every text, with the same blanks to fill.

Only the ranking's sentences differ: English takes over the ranking's own, the others are composed of its values.
"""

from __future__ import annotations

import string

import pytest

from mbo_search.report.style.i18n import LANGUAGES, load_strings
from mbo_search.study.spec.rungs import RUNGS


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
def test_no_text_is_empty(language):
    assert all(text.strip() for texts in load_strings(language).groups.values() for text in texts.values())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("group", ["names", "kinds", "freedoms", "found", "questions"])
def test_every_rung_has_its_words(language, group):
    texts = load_strings(language)[group]
    assert len({texts[rung] for rung in RUNGS}) == len(RUNGS)
