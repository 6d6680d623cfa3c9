"""The unit of text, which is cleaned, compared, and assigned to one split as a whole."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

_Item = TypeVar("_Item")

Span = tuple[int, int]
"""First character of a part of a text, and the one after its last."""


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
        asked: Parts of the text that a model must predict, ascending; None for running text, where it is all.
        template: Parts that a chat template wrote, where names of special tokens mean these tokens.
        group: What decides the split of an example instead of its prompt; empty: the prompt does.
        scores: Numbers beside the text, in the order in which the study names them.
    """

    name: str
    text: str
    is_named_stably: bool = False
    part: int = 0
    asked: tuple[Span, ...] | None = None
    template: tuple[Span, ...] = ()
    group: str = ""
    scores: tuple[float, ...] = ()

    @property
    def prompt(self) -> str:
        """What comes before the first part that is asked for; empty for running text."""
        return self.text[: self.asked[0][0]] if self.asked else ""

    def split_hash(self) -> int:
        """The number in [0, 2**64) by which documents are dealt to the splits."""
        material = self.name if self.is_named_stably else self.text
        if self.asked:
            material = self.group or self.prompt
        return int.from_bytes(hashlib.blake2b(material.encode(), digest_size=8).digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table, or one object of a .jsonl file.

    Attributes:
        name: Where it is from: `file:line`, or what a corpus of pairs calls it.
        values: What its columns hold.
    """

    name: str
    values: Mapping[str, object]


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
