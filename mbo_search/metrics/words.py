"""Exact match and F1 of words, as question answering counts them."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter

from mbo_search.metrics.measure import MeanMeasure, Row

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_IDEOGRAPHS = re.compile(r"([\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])")
"""Characters of Chinese and Japanese, which write no spaces: each is a word of its own."""


class ExactMatch(MeanMeasure):
    """Whether an answer equals its reference but for case, punctuation, articles and spaces.

    References:
        Rajpurkar et al. 2016, arXiv:1606.05250. Differs from the paper's script: punctuation of all scripts is left
        out, not only that of ASCII, and of a text that is nothing but punctuation and articles everything is kept.
    """

    def compare(self, answer: str, reference: str) -> Row:
        """One for a match, else zero."""
        return (float(plain(answer) == plain(reference)),)


class TokenF1(MeanMeasure):
    """F1 of the words that an answer and its reference have in common, as often as both have them.

    References:
        Rajpurkar et al. 2016, arXiv:1606.05250. Differs from the paper's script: as in `ExactMatch`, and each
        character of Chinese and Japanese is a word.
    """

    def compare(self, answer: str, reference: str) -> Row:
        """The harmonic mean of precision and recall."""
        found, wanted = Counter(words(plain(answer))), Counter(words(plain(reference)))
        size = found.total() + wanted.total()
        return (2 * (found & wanted).total() / size if size else 1.0,)


def plain(text: str) -> str:
    """Text without what two equal answers may differ in.

    >>> plain("The  answer: B!"), plain("+")
    ('answer b', '+')
    """
    kept = "".join(character for character in text.lower() if not _is_punctuation(character))
    return " ".join(_ARTICLES.sub(" ", kept).split()) or " ".join(text.split())


def words(text: str) -> list[str]:
    """Words between spaces; a character of Chinese or Japanese is one.

    >>> words("x1 \\u5317\\u4eac")[:2]
    ['x1', '\u5317']
    """
    return _IDEOGRAPHS.sub(r" \1 ", text).split()


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")
