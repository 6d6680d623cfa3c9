"""Words of bounded length: a line without spaces would be one word, and training takes its square in time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

LONGEST_WORD = 256
"""Characters of one kind in a row that are taken for one word; ordinary text has no such row."""

_LONG = re.compile(
    rf"[^\W\d_]{{{LONGEST_WORD + 1},}}|\d{{{LONGEST_WORD + 1},}}"
    rf"|(?:[^\w\s]|_){{{LONGEST_WORD + 1},}}|\s{{{LONGEST_WORD + 1},}}"
)
_LONG_SPACE = re.compile(rf"\s{{{LONGEST_WORD + 1},}}")


def bounded_texts(texts: Iterable[str]) -> Iterator[str]:
    """Cut texts within overlong rows of letters, digits, signs or white space; others pass as they are.

    >>> [len(piece) for piece in bounded_texts(["short", "x" * 600, "one " + "y" * 300])]
    [5, 256, 256, 88, 260, 44]
    """
    for text in texts:
        start = 0
        for row in _LONG.finditer(text) if _may_have_long_rows(text) else ():
            for end in range(row.start() + LONGEST_WORD, row.end(), LONGEST_WORD):
                yield text[start:end]
                start = end
        yield text[start:]


def _may_have_long_rows(text: str) -> bool:
    """Tell most texts apart in a small part of the time that the pattern of all rows takes."""
    return max(map(len, text.split()), default=0) > LONGEST_WORD or _LONG_SPACE.search(text) is not None
