"""BLEU and chrF from the n-gram counts of `sacrebleu`. The only door to that library."""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np

from mbo_search.metrics.library import library
from mbo_search.metrics.measure import Floats, Row, ratio

_CHINESE = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_WORD_ORDERS = 4
_CHARACTER_ORDERS = 6
_MOST_COUNT = 1e9
_BETA_SQUARED = 4.0
"""chrF counts recall twice as much as precision."""


class Bleu:
    """BLEU of a whole set with exponential smoothing, as `sacrebleu` has it by default.

    Texts are cut into words by `zh` of `sacrebleu` where the reference has Chinese characters, each of which is a
    word then, else by `13a`. A set in which no answer has four words has no BLEU and gets 0.

    References:
        Papineni et al. 2002, doi:10.3115/1073083.1073135. Differs from the paper: an order without a match counts
        as a part of a match.
    """

    width = 2 * _WORD_ORDERS + 2
    most = _MOST_COUNT

    def compare(self, answer: str, reference: str) -> Row:
        """Matches and n-grams of each order, and both lengths."""
        found = _bleu("zh" if _CHINESE.search(reference) else "13a").sentence_score(answer, [reference])
        return tuple(float(count) for count in (*found.counts, *found.totals, found.sys_len, found.ref_len))

    def counts(self, statistics: Floats) -> Floats:
        """They add up as they are."""
        return statistics

    def of_totals(self, totals: Floats) -> Floats:
        """The geometric mean of the precisions, less for answers that are too short."""
        matches, candidates = totals[..., :_WORD_ORDERS], totals[..., _WORD_ORDERS : 2 * _WORD_ORDERS]
        length, wanted = totals[..., -2], totals[..., -1]
        misses = np.cumsum((matches == 0) & (candidates > 0), axis=-1)
        smoothed = np.where(matches == 0, 0.5**misses, matches)
        is_defined = (candidates > 0).all(axis=-1) & (matches > 0).any(axis=-1)
        precisions = smoothed / np.maximum(candidates, 1)
        brevity = np.exp(np.minimum(0.0, 1 - wanted / np.maximum(length, 1)))
        return np.where(is_defined, 100 * brevity * np.exp(np.log(precisions).mean(axis=-1)), 0.0)


class ChrF:
    """chrF2 of a whole set: precision and recall of character n-grams up to six, spaces left out.

    References:
        Popovic 2015, doi:10.18653/v1/W15-3049. Differs from the paper: an order that neither text is long enough
        for is left out of the means.
    """

    width = 3 * _CHARACTER_ORDERS
    most = _MOST_COUNT

    def compare(self, answer: str, reference: str) -> Row:
        """N-grams of the answer, of the reference, and of both, of each order in turn."""
        helpers = library("sacrebleu").metrics.helpers
        found_in, wanted_in = (
            helpers.extract_all_char_ngrams(text, _CHARACTER_ORDERS) for text in (answer, reference)
        )
        return tuple(
            float(count)
            for found, wanted in zip(found_in, wanted_in, strict=True)
            for count in (found.total() if wanted else 0, wanted.total(), (found & wanted).total())
        )

    def counts(self, statistics: Floats) -> Floats:
        """They add up as they are."""
        return statistics

    def of_totals(self, totals: Floats) -> Floats:
        """F2 of the mean precision and the mean recall over orders."""
        found, wanted, common = totals[..., 0::3], totals[..., 1::3], totals[..., 2::3]
        counted = (found > 0) & (wanted > 0)
        orders = counted.sum(axis=-1).astype(np.float64)
        precision = ratio((ratio(common, found) * counted).sum(axis=-1), orders)
        recall = ratio((ratio(common, wanted) * counted).sum(axis=-1), orders)
        return 100 * ratio((1 + _BETA_SQUARED) * precision * recall, _BETA_SQUARED * precision + recall)


@functools.cache
def _bleu(tokenizer: str) -> Any:
    """Its words of a reference; the order is effective only so that a single sentence may be asked for."""
    return library("sacrebleu").BLEU(tokenize=tokenizer, effective_order=True)
