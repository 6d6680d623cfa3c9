"""The nearest valid name for a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The most similar valid name; None if none is similar."""
    matches = difflib.get_close_matches(name.lower(), tuple(known), n=1, cutoff=0.5)
    return matches[0] if matches else None


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """A question that offers the most similar valid name; empty if none is similar.

    >>> nearest_hint("adanw", ("adamw", "lion"))
    'did you mean adamw?'
    """
    nearest = nearest_name(name, known)
    return f"did you mean {nearest}?" if nearest is not None else ""
