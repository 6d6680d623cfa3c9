"""The unit of text, which is cleaned, compared, and assigned to one split as a whole."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text with a name.

    Attributes:
        name: Unique within a study: `docs:json.loads`, or `file:line` for a user's text.
        text: The text.
        is_named_stably: Whether the name, rather than the text, decides the split. Built-in corpora do this, so
            that a unit whose wording changes between Python versions stays in its split.
        part: Position among the pieces of a document that was cut, or among the parts in which a reader gives a
            very long one, one after the other; 0 for a whole document or the first of them.
    """

    name: str
    text: str
    is_named_stably: bool = False
    part: int = 0

    def split_hash(self) -> int:
        """The number in [0, 2**64) by which documents are dealt to the splits."""
        material = self.name if self.is_named_stably else self.text
        return int.from_bytes(hashlib.blake2b(material.encode(), digest_size=8).digest())


def grouped(items: Iterable[_Item], part_of: Callable[[_Item], int]) -> Iterator[Iterator[_Item]]:
    """Put the parts of each document together; each group must be read before the next one.

    >>> [list(group) for group in grouped([0, 1, 0, 0, 1, 2], lambda part: part)]
    [[0, 1], [0], [0, 1, 2]]
    """
    number = 0

    def document_number(item: _Item) -> int:
        nonlocal number
        number += part_of(item) == 0
        return number

    return (group for _, group in itertools.groupby(items, document_number))
