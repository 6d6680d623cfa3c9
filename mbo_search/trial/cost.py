"""The cost of training, as one value that calls, attempts and trials add up."""

from __future__ import annotations

from pydantic import Field

from mbo_search.study.spec.base import Description


class Cost(Description):
    """The cost of some training; the sum of two costs is that of both, one after the other.

    Numbers are bounded because they may come from a stranger's folder: sums of them must exist.

    >>> Cost(executed_tokens=96, peak_memory_bytes=7) + Cost(wasted_tokens=32, peak_memory_bytes=5)
    Cost(executed_tokens=96, wasted_tokens=32, train_seconds=0.0, peak_memory_bytes=7)

    Attributes:
        executed_tokens: Charged tokens trained and kept.
        wasted_tokens: Charged tokens of crash repeats and discarded work.
        train_seconds: Wall-clock seconds of training and evaluation.
        peak_memory_bytes: Largest resident (CPU) or allocated (GPU) memory.
    """

    executed_tokens: int = Field(default=0, ge=0, le=10**15)
    wasted_tokens: int = Field(default=0, ge=0, le=10**15)
    train_seconds: float = Field(default=0.0, ge=0, le=1e11)
    peak_memory_bytes: int = Field(default=0, ge=0, le=10**15)

    @property
    def tokens(self) -> int:
        """All tokens trained, kept or not."""
        return self.executed_tokens + self.wasted_tokens

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            executed_tokens=self.executed_tokens + other.executed_tokens,
            wasted_tokens=self.wasted_tokens + other.wasted_tokens,
            train_seconds=self.train_seconds + other.train_seconds,
            peak_memory_bytes=max(self.peak_memory_bytes, other.peak_memory_bytes),
        )

    def as_wasted(self) -> Cost:
        """The same cost of work that is discarded.

        >>> Cost(executed_tokens=96, wasted_tokens=32).as_wasted().wasted_tokens
        128
        """
        return self.model_copy(update={"executed_tokens": 0, "wasted_tokens": self.tokens})
