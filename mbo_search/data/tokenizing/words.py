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


def bounded_texts(texts: Iterable[str]) -> Iterator[str]:
    """Cut texts within overlong rows of letters, digits, signs or white space; others pass as they are.

    >>> [len(piece) for piece in bounded_texts(["short", "x" * 600, "one " + "y" * 300])]
    [5, 256, 256, 88, 260, 44]
    """
    for text in texts:
        start = 0
        for row in _LONG.finditer(text):
            for end in range(row.start() + LONGEST_WORD, row.end(), LONGEST_WORD):
                yield text[start:end]
                start = end
        yield text[start:]
