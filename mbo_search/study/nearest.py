"""The nearest valid name for a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["nearest_hint"]


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """A question that offers the most similar valid name; empty if none is similar.

    >>> nearest_hint("adanw", ("adamw", "lion"))
    'did you mean adamw?'
    """
    matches = difflib.get_close_matches(name.lower(), tuple(known), n=1, cutoff=0.5)
    return f"did you mean {matches[0]}?" if matches else ""
