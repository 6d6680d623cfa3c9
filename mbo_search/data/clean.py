"""Cleaning: one spelling for each character, no control characters, one kind of line end."""

from __future__ import annotations

import re
import unicodedata

# Line ends of old systems and of Unicode, next line (U+0085) included.
_LINE_END = re.compile("\r\n|[\r\x85\u2028\u2029]")
# Thai, Lao, Tibetan, Myanmar, Khmer; Korean; kana and CJK with its extensions and wide forms.
_DENSE = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\uac00-\ud7a3"
    "\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_WEIGHT = 4
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


def weighted_length(text: str) -> int:
    """Length in characters, where a character of Chinese, Japanese, Korean, Thai and their like counts as four.

    So much more does one of them say: by the same measure a short text is short in every script.

    >>> weighted_length("hello"), weighted_length("\u4f60\u597d")
    (5, 8)
    """
    return len(text) + (_WEIGHT - 1) * len(_DENSE.findall(text))
