"""Books of Project Gutenberg: the text between the marks, without the licence before and after it."""

from __future__ import annotations

import lzma
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mbo_search.data.files.suffixes import open_bytes

_LOOKED_AT_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 22
_LONGEST_MARK_BYTES = 1 << 10
_PROJECT = re.compile("Project[ \t]+Gutenberg", re.IGNORECASE)
# A title may go on for some lines before the asterisks that end a mark.
_REST = r"(?:[^*\n]*\n){0,4}?[^*\n]*\*{3}[^\n]*|[^\n]*"
_BEGINS = rf"^\ufeff?[ \t]*\*{{3}}[ \t]*START OF TH(?:E|IS) PROJECT GUTENBERG E-?(?:BOOK|TEXT)(?:{_REST})"
# Until 2003 or so, legal words of their own stood before the text, sometimes after it.
_SMALL_PRINT_ENDS = r"^[ \t]*\*+[ \t]*END[ \t]*\*+[ \t]*THE SMALL PRINT[^\n]*"
_SMALL_PRINT = r"^[ \t]*\*+[ \t]*START[ \t]*\*+[ \t]*THE SMALL PRINT[^\n]*"
_ENDS = (
    r"^[ \t]*(?:\*{3}[ \t]*)?END OF (?:TH(?:E|IS) )?(?:COPYRIGHTED )?"
    r"PROJECT GUTENBERG(?:[ \t]+E-?(?:BOOK|TEXT)|'S|\u2019S)[^\n]*"
)
_MARK = re.compile(
    rf"(?P<begins>{_BEGINS})|(?P<small_print_ends>{_SMALL_PRINT_ENDS})|(?P<ends>{_SMALL_PRINT}|{_ENDS})",
    re.IGNORECASE | re.MULTILINE,
)


def begins_with_license(file: Path) -> bool:
    """Return whether a text file, compressed or not, holds a licence of Project Gutenberg before its text.

    A mark near the start says so where the project is named before it, as in each of its headers, or where another
    mark ends the book. A mark alone is a quotation.
    """
    try:
        with open_bytes(file) as content:
            start = content.read(_LOOKED_AT_BYTES)
            return is_licensed(start) and (_is_header(start) or _is_ended(start, content))
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        return False  # reading it says what is wrong


def is_licensed(content: bytes) -> bool:
    """Return whether there is a mark near the start where a licence may end and a book begin.

    >>> is_licensed(b"*** START OF THE PROJECT GUTENBERG EBOOK EMMA ***"), is_licensed(b"Emma")
    (True, False)
    """
    return _first_mark(content) is not None


def _first_mark(content: bytes) -> re.Match[str] | None:
    start = content[:_LOOKED_AT_BYTES].decode(errors="replace").replace("\r\n", "\n")
    return next((mark for mark in _MARK.finditer(start) if mark.lastgroup != "ends"), None)


def _is_header(start: bytes) -> bool:
    """Whether what stands before the first mark, small print included, names the project."""
    mark = _first_mark(start)
    return mark is not None and _PROJECT.search(mark.string, 0, mark.start()) is not None


def _is_ended(start: bytes, rest: BinaryIO) -> bool:
    """Whether a mark ends a book in what was read or in the rest of a file."""
    block = start
    while block:
        text = block.decode(errors="replace").replace("\r\n", "\n")
        if any(mark.lastgroup == "ends" for mark in _MARK.finditer(text)):
            return True
        following = rest.read(_BLOCK_BYTES)
        block = block[-_LONGEST_MARK_BYTES:] + following if following else b""
    return False


def without_license(text: str) -> str:
    """Keep what stands between the marks; of several books in a row, each.

    >>> begin, end = (f"*** {mark} OF THIS PROJECT GUTENBERG EBOOK EMMA ***" for mark in ("START", "END"))
    >>> without_license(f"A licence\\n{begin}\\nCHAPTER I\\nEmma Woodhouse\\n{end}\\nA licence")
    'CHAPTER I\\nEmma Woodhouse'
    """
    return "\n\n".join(book for piece in _between(text.replace("\r\n", "\n")) if (book := piece.strip("\n")))


def _between(text: str) -> Iterator[str]:
    """The pieces of text after a mark that begins a book and before the next mark.

    What lies between small print and the mark of the book is the licence still.
    """
    begun: re.Match[str] | None = None
    for mark in _MARK.finditer(text):
        if begun is not None and (mark.lastgroup == "ends" or begun.lastgroup == "begins"):
            yield text[begun.end() : mark.start()]
        begun = None if mark.lastgroup == "ends" else mark
    if begun is not None:
        yield text[begun.end() :]
