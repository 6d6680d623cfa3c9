"""Cleaning: one spelling for each character, no control characters, one kind of line end."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

# Line ends of old systems and of Unicode, next line (U+0085) included.
_LINE_END = re.compile("\r\n|[\r\x85\u2028\u2029]")
# Thai, Lao, Tibetan, Myanmar, Khmer; Korean; kana and CJK with its extensions and wide forms.
_DENSE = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\uac00-\ud7a3"
    "\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_WEIGHT = 4
# Where a text may be cut and each part be cleaned alone: behind a newline, before a letter or sign of ASCII.
_CUT = re.compile("\n|(?=[ -~])")
_LOOKED_AT = 4096
# Controls besides tab and newline, byte order marks, and halves of surrogate pairs, which UTF-8 cannot hold.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ud800-\udfff]")


def clean_text(text: str) -> str:
    r"""Normalise a text to NFC, with newline line ends and without control characters.

    Empty lines at both ends and white space at the end are dropped; an indented first line stays indented.

    >>> clean_text("\r\n  cafe\u0301\x00\r\nau lait \n") == "  caf\u00e9\nau lait"
    True
    """
    return _normal(text).strip("\n").rstrip()


def cleaned(blocks: Iterable[str]) -> Iterator[str]:
    r"""Clean a text that comes in blocks cut at `clean_cut`; the blocks together are what `clean_text` gives.

    >>> "".join(cleaned(["\n\n a", "b  ", " \n", "c\n"])) == clean_text("\n\n ab   \nc\n")
    True
    """
    return stripped(_normal(block) for block in blocks)


def stripped(blocks: Iterable[str]) -> Iterator[str]:
    """Drop empty lines at both ends of a text in blocks, and white space at its end."""
    has_begun, space = False, ""
    for block in blocks:
        text = space + (block if has_begun else block.lstrip("\n"))
        has_begun = has_begun or bool(text)
        kept = text.rstrip()
        space = text[len(kept) :]
        if kept:
            yield kept


def clean_cut(text: str, last: int) -> int:
    r"""The last place not behind `last` where a text may be cut to clean the parts alone; 0 if there is none near.

    >>> clean_cut("one two", 5), clean_cut("cafe\u0301", 5)
    (5, 3)
    """
    first = max(0, last - _LOOKED_AT)
    cuts = [cut.end() for cut in _CUT.finditer(text, first, last + 1) if cut.end() <= last]
    return cuts[-1] if cuts else 0


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", _CONTROL.sub("", _LINE_END.sub("\n", text)))


def weighted_length(text: str) -> int:
    """Length in characters, where a character of Chinese, Japanese, Korean, Thai and their like counts as four.

    So much more does one of them say: by the same measure a short text is short in every script.

    >>> weighted_length("hello"), weighted_length("\u4f60\u597d")
    (5, 8)
    """
    return len(text) + (_WEIGHT - 1) * len(_DENSE.findall(text))
