"""Return whether keeping a state within a stage pays, by what training and writing were measured to take."""

from __future__ import annotations

MOST_WRITE_SHARE = 0.1
"""Largest share of the training time that writing states within a stage may take."""


class CheckpointPolicy:
    """Decides by how fast a trial trains and writes which states within a stage to keep.

    A state is kept only if writing it takes at most a tenth of the training that it saves. The first one is always
    kept, because it is the measurement. Stage ends are always kept, whatever this policy says.

    >>> policy = CheckpointPolicy()
    >>> policy.is_worth_keeping(1)
    True
    >>> policy.observe(num_tokens=1000, train_seconds=10.0, write_seconds=0.5)
    >>> policy.is_worth_keeping(1000), policy.is_worth_keeping(100)
    (True, False)
    """

    def __init__(self) -> None:
        self._num_tokens = 0
        self._train_seconds = 0.0
        self._write_seconds: list[float] = []

    def observe(self, *, num_tokens: int, train_seconds: float, write_seconds: float) -> None:
        """Note what a span took."""
        self._num_tokens += num_tokens
        self._train_seconds += train_seconds
        self._write_seconds.append(write_seconds)

    def is_worth_keeping(self, num_tokens: int) -> bool:
        """Return whether a state pays."""
        if not self._num_tokens:
            return True
        saved_seconds = self._train_seconds * num_tokens / self._num_tokens
        mean_seconds = sum(self._write_seconds) / len(self._write_seconds)
        return mean_seconds <= MOST_WRITE_SHARE * saved_seconds
