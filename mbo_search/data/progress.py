"""How far the preparation of data has come, told through a plain callback."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

Phase = Literal["digest", "read", "compare", "tokenizer", "encode"]

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class PrepareProgress:
    """One step of the way.

    Attributes:
        phase: `digest`: files are compared with what is in the cache; `read`: files are read; `compare`: documents
            are compared with each other; `tokenizer`: the tokenizer is trained; `encode`: text becomes tokens.
        done: Units of the phase that are done: files, documents, merges, documents.
        total: Units of the phase; 0 where it is not known.
    """

    phase: Phase
    done: int
    total: int


PrepareReporter = Callable[[PrepareProgress], None]
"""Called in the thread that prepares, often: whoever shows it decides how often to draw."""


def tell_nobody(progress: PrepareProgress) -> None:
    """Ignore progress."""


def counted(items: Iterable[_Item], phase: Phase, total: int, tell: PrepareReporter) -> Iterator[_Item]:
    """Pass items on, and tell after each that it is done.

    >>> list(counted("ab", "read", 2, lambda progress: print(progress.done, progress.total)))
    0 2
    1 2
    2 2
    ['a', 'b']
    """
    tell(PrepareProgress(phase, 0, total))
    for done, item in enumerate(items, start=1):
        yield item
        tell(PrepareProgress(phase, done, total))
