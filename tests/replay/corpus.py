"""The text that the replayed studies train on: made of few words, the same on every machine and in every year."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_NOUNS = (
    "light",
    "river",
    "stone",
    "bird",
    "house",
    "night",
    "road",
    "tree",
    "sea",
    "wind",
    "hill",
    "boat",
    "snow",
)
_VERBS = ("finds", "leaves", "keeps", "sees", "follows", "loses", "carries", "crosses", "hears", "forgets")
_DOCUMENTS = 420
_MULTIPLIER, _INCREMENT, _MODULUS = 1_103_515_245, 12_345, 2**31


def write_corpus(file: Path) -> None:
    """Write short documents with an empty line between them."""
    file.write_text("\n\n".join(_documents()) + "\n", encoding="utf-8")


def _documents() -> Iterator[str]:
    draws = _draws()
    for number in range(_DOCUMENTS):
        kinds = (_VERBS if place % 3 == 1 else _NOUNS for place in range(12 + number % 17))
        words = (kind[next(draws) % len(kind)] for kind in kinds)
        yield f"{number}: {' '.join(words)}."


def _draws() -> Iterator[int]:
    state = 1
    while True:
        state = (_MULTIPLIER * state + _INCREMENT) % _MODULUS
        yield state >> 16
