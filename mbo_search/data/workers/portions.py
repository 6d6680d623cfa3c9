"""Portions of a long stream that are worked on together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_CHARACTERS_AT_ONCE = 1 << 18

_Item = TypeVar("_Item")


def portions(items: Iterable[_Item], size: Callable[[_Item], int]) -> Iterator[list[_Item]]:
    """Collect items up to 2**18 characters, which bounds the memory of working on them.

    >>> [len(portion) for portion in portions(["a" * 2**17] * 5, len)]
    [2, 2, 1]
    """
    portion: list[_Item] = []
    num_characters = 0
    for item in items:
        portion.append(item)
        num_characters += size(item)
        if num_characters >= _CHARACTERS_AT_ONCE:
            yield portion
            portion, num_characters = [], 0
    if portion:
        yield portion
