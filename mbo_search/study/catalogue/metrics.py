"""Metrics of tasks that an evaluation may name: what each one says, which way is better, what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

MetricNeeds = Literal["generation", "label_likelihood"]
"""What a model is asked for: a text of its own, or which of the task's labels it finds likeliest."""

Direction = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricInfo:
    """A metric.

    Attributes:
        summary: One line.
        paper: Authors, year, identifier; empty for what needs none.
        direction: Which way is better.
        needs: What a model is asked for.
        low: Smallest value.
        high: Largest value, that of perfect answers.
        library: The package that computes it or its counts; empty for none.
    """

    summary: str
    paper: str = ""
    direction: Direction = "higher"
    needs: MetricNeeds
    low: float = 0.0
    high: float = 1.0
    library: str = ""


METRICS: Mapping[str, MetricInfo] = MappingProxyType(
    {
        "accuracy": MetricInfo(
            summary="share of examples whose likeliest label is the right one", needs="label_likelihood"
        ),
        "bleu": MetricInfo(
            summary="n-grams of words in common with the references, up to four, over the whole set",
            paper="Papineni et al. 2002, doi:10.3115/1073083.1073135; Post 2018, arXiv:1804.08771",
            needs="generation",
            high=100.0,
            library="sacrebleu",
        ),
        "chrf": MetricInfo(
            summary="n-grams of characters in common with the references, up to six, over the whole set",
            paper="Popovic 2015, doi:10.18653/v1/W15-3049",
            needs="generation",
            high=100.0,
            library="sacrebleu",
        ),
        "exact_match": MetricInfo(
            summary="share of answers that equal their reference but for case, punctuation and articles",
            paper="Rajpurkar et al. 2016, arXiv:1606.05250",
            needs="generation",
        ),
        "macro_f1": MetricInfo(summary="F1 of each label, averaged over labels", needs="label_likelihood"),
        "matthews": MetricInfo(
            summary="correlation of chosen and right labels",
            paper="Matthews 1975, doi:10.1016/0005-2795(75)90109-9; Gorodkin 2004",
            needs="label_likelihood",
            low=-1.0,
        ),
        "rouge_l": MetricInfo(
            summary="F1 of the longest common subsequence of words, averaged over examples",
            paper="Lin 2004, W04-1013",
            needs="generation",
            library="rouge_score",
        ),
        "token_f1": MetricInfo(
            summary="F1 of words in common with the reference, averaged over examples",
            paper="Rajpurkar et al. 2016, arXiv:1606.05250",
            needs="generation",
        ),
    }
)
"""Metrics by name. Validation loss is measured always and is not among them."""

NEEDS: Mapping[MetricNeeds, str] = MappingProxyType(
    {"generation": "a text of its own", "label_likelihood": "the likeliest label"}
)
"""Words for what a model is asked for."""
