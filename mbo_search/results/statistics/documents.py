"""Differences document by document, and the variance that other text would add to them.

Fresh seeds say whether a difference holds for other seeds on the same validation text. That text is a sample too:
its documents differ in how much they favor a schedule, and more seeds do not shrink that. Seeds and documents are
crossed, because every seed's model reads every document, so the variance of the difference has a part for each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

FEWEST_DOCUMENTS = 20
"""With fewer validation documents nothing is said about other text: their spread is not known well enough."""


class HeldOutSample(Protocol):
    """What every seed was judged on, of which another sample might have been drawn."""

    @property
    def num_seeds(self) -> int:
        """Seeds that were judged on it."""
        ...

    @property
    def num_documents(self) -> int:
        """Documents, or examples."""
        ...

    def part(self, num_seeds: int) -> float:
        """The variance that another sample would add to the mean difference of the first seeds."""
        ...


@dataclass(frozen=True, slots=True)
class DocumentDifferences:
    """Differences of every seed on every validation document.

    Attributes:
        tokens: Predicted tokens of each document, at least 1; the same for all seeds.
        nats: One row a seed, in the order of the seeds: by document, the summed loss of the other schedule minus
            the summed loss of the schedule in question, in nats. Positive: the schedule in question is better.
    """

    tokens: tuple[int, ...]
    nats: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        assert self.tokens, "there is no document"
        assert min(self.tokens) >= 1, "a document without predicted tokens says nothing"
        assert all(len(row) == len(self.tokens) for row in self.nats), "every seed reads every document"
        assert all(math.isfinite(nats) for row in self.nats for nats in row), "a loss is not finite"

    @property
    def num_seeds(self) -> int:
        """Rows."""
        return len(self.nats)

    @property
    def num_documents(self) -> int:
        """Columns."""
        return len(self.tokens)

    def part(self, num_seeds: int) -> float:
        """What other documents would add to the mean of the first seeds."""
        return documents_part(self, num_seeds)

    @property
    def seed_means(self) -> tuple[float, ...]:
        """The difference of each seed over all documents, in nats per token."""
        return tuple(math.fsum(row) / sum(self.tokens) for row in self.nats)


@dataclass(frozen=True, slots=True)
class Parts:
    """The two variances of a mean difference, each with the degrees of freedom of its estimate.

    Attributes:
        seeds: Variance of the mean over seeds, in squared nats per token.
        seeds_freedom: Seeds less one, at least 1.
        documents: Variance over documents, likewise; 0 where nothing is said about other text.
        documents_freedom: Documents less one; 0 where nothing is said about other text.
    """

    seeds: float
    seeds_freedom: int
    documents: float = 0.0
    documents_freedom: int = 0

    @property
    def standard_error(self) -> float:
        """Of the mean difference, over seeds and documents, in nats per token."""
        return math.sqrt(self.seeds + self.documents)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the sum."""
        return satterthwaite(self)


def documents_part(documents: DocumentDifferences, num_seeds: int) -> float:
    """The variance that other documents of the same kind would add to the mean of the first seeds.

    The mean over documents is a ratio, summed nats over summed tokens, so a document counts by its length; its
    influence is what it adds beyond its tokens' share, averaged over the seeds. Documents are what is drawn,
    never windows: windows of one document resemble each other.

    Args:
        documents: At least two documents, and at least `num_seeds` seeds.
        num_seeds: How many of the seeds to use.

    Returns:
        The variance in squared nats per token.

    References:
        Cochran 1977, "Sampling Techniques", section 2.11, for the variance of a ratio. Owen 2007, "The pigeonhole
        bootstrap", Ann. Appl. Stat. 1, and Cameron, Gelbach and Miller 2011, "Robust inference with multiway
        clustering", J. Bus. Econ. Stat. 29, for adding the parts of crossed factors. Differs from the papers:
        the variance of single cells is not subtracted, though each part holds a share of it, so the sum errs on
        the large side.
    """
    num_documents = len(documents.tokens)
    assert num_documents >= 2, "one document has no spread"
    tokens = np.asarray(documents.tokens, dtype=np.float64)
    nats = np.asarray(documents.nats[:num_seeds], dtype=np.float64).mean(axis=0)
    influences = nats - tokens * (nats.sum() / tokens.sum())
    return float(influences @ influences) * num_documents / (num_documents - 1) / float(tokens.sum()) ** 2


def satterthwaite(parts: Parts) -> float:
    """Degrees of freedom of a sum of two estimated variances.

    Returns:
        Between the smaller of the two and their sum; those of the seeds where documents add nothing.

    >>> satterthwaite(Parts(seeds=1.0, seeds_freedom=5, documents=1.0, documents_freedom=61)).__round__(2)
    18.48
    >>> satterthwaite(Parts(seeds=1.0, seeds_freedom=5))
    5.0

    References:
        Satterthwaite 1946, "An approximate distribution of estimates of variance components", Biometrics Bulletin
        2. Differs from the paper: nothing.
    """
    total = parts.seeds + parts.documents
    if parts.documents == 0 or total == 0:
        return float(parts.seeds_freedom)
    # Shares, not variances, are squared: the square of a small variance could vanish.
    seeds, documents = parts.seeds / total, parts.documents / total
    return 1.0 / (seeds**2 / parts.seeds_freedom + documents**2 / parts.documents_freedom)
