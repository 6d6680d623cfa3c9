"""The unit of text, which is cleaned, compared, and assigned to one split as a whole."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text with a name.

    Attributes:
        name: Unique within a study: `docs:json.loads`, or `file:line` for a user's text.
        text: The text.
        is_named_stably: Whether the name, rather than the text, decides the split. Built-in corpora do this, so
            that a unit whose wording changes between Python versions stays in its split.
        part: Position among the pieces of a document that was cut; 0 for a whole document or a first piece.
    """

    name: str
    text: str
    is_named_stably: bool = False
    part: int = 0

    def split_hash(self) -> int:
        """The number in [0, 2**64) by which documents are dealt to the splits."""
        material = self.name if self.is_named_stably else self.text
        return int.from_bytes(hashlib.blake2b(material.encode(), digest_size=8).digest())
