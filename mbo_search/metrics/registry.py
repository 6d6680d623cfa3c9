"""Metrics by the names of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mbo_search.metrics.labels import Accuracy, MacroF1, Matthews
from mbo_search.metrics.measure import Measure, TextMeasure
from mbo_search.metrics.n_grams import Bleu, ChrF
from mbo_search.metrics.subsequences import RougeL
from mbo_search.metrics.words import ExactMatch, TokenF1

TEXT_MEASURES: Mapping[str, TextMeasure] = MappingProxyType(
    {
        "bleu": Bleu(),
        "chrf": ChrF(),
        "exact_match": ExactMatch(),
        "rouge_l": RougeL(),
        "token_f1": TokenF1(),
    }
)
"""Metrics of generated texts."""

LABEL_MEASURES: Mapping[str, Measure] = MappingProxyType(
    {"accuracy": Accuracy(), "macro_f1": MacroF1(), "matthews": Matthews()}
)
"""Metrics of chosen labels."""

MEASURES: Mapping[str, Measure] = MappingProxyType({**TEXT_MEASURES, **LABEL_MEASURES})
"""All of them."""
