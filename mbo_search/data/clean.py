"""Cleaning: one spelling for each character, no control characters, one kind of line end."""

from __future__ import annotations

import re
import unicodedata

# Line ends of old systems and of Unicode, next line (U+0085) included.
_LINE_END = re.compile("\r\n|[\r\x85\u2028\u2029]")
# Controls besides tab and newline, byte order marks, and halves of surrogate pairs, which UTF-8 cannot hold.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ud800-\udfff]")


def clean_text(text: str) -> str:
    r"""Normalise a text to NFC, with newline line ends and without control characters.

    Empty lines at both ends and white space at the end are dropped; an indented first line stays indented.

    >>> clean_text("\r\n  cafe\u0301\x00\r\nau lait \n") == "  caf\u00e9\nau lait"
    True
    """
    text = _CONTROL.sub("", _LINE_END.sub("\n", text))
    return unicodedata.normalize("NFC", text).strip("\n").rstrip()
