"""ROUGE-L by `rouge_score`. The only door to that library."""

from __future__ import annotations

import functools
import re
from typing import Any

from mbo_search.metrics.library import library
from mbo_search.metrics.measure import MeanMeasure, Row
from mbo_search.metrics.words import words

_WORD = re.compile(r"[^\W_]+")


class RougeL(MeanMeasure):
    """F1 of the longest common subsequence of words, in lower case, without stemming.

    References:
        Lin 2004, W04-1013. Differs from `rouge_score`: letters of all scripts make words, not only those of
        English, and each character of Chinese and Japanese is one.
    """

    def compare(self, answer: str, reference: str) -> Row:
        """The F1 of one answer."""
        return (float(_scorer().score(reference, answer)["rougeL"].fmeasure),)


class _Words:
    """A tokenizer for `rouge_score`, which is its own on English text."""

    def tokenize(self, text: str) -> list[str]:
        return words(" ".join(_WORD.findall(text.lower())))


@functools.cache
def _scorer() -> Any:
    return library("rouge_score.rouge_scorer").RougeScorer(["rougeL"], tokenizer=_Words())
