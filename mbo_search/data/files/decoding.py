"""Bytes of a file to text: UTF-8, or an error that names the place and the likely encoding."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO

from mbo_search.errors import DataError, Problem

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
"""Byte order marks; the little-endian one of UTF-32 begins with that of UTF-16."""

_MULTIBYTE = (
    ("EUC-KR", re.compile("[\uac00-\ud7a3]")),
    ("SHIFT_JIS", re.compile("[\u3000-\u9fff\uff00-\uff65]")),
    ("GB18030", re.compile("[\u3000-\u9fff\uff00-\uffef]")),
    ("BIG5", re.compile("[\u3000-\u9fff\uff00-\uffef]")),
)
"""Encodings, and characters that most foreign ones of a text in it are; the narrower sets first."""

_ANY = re.compile(".")
_MOST = 0.8
_LOOKED_AT_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 22


def decode(content: bytes, where: str, first_byte: int = 0) -> str:
    """Decode UTF-8; a byte order mark is no text.

    Raises:
        DataError: With the place of the first bad byte.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(error, where, first_byte + len(content), content) from error


def decoded_blocks(file: BinaryIO, where: str) -> Iterator[str]:
    """Decode a file of UTF-8 in blocks of a few megabytes; a byte order mark is no text.

    Raises:
        DataError: With the place of the first bad byte.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    num_read, start = 0, b""
    while True:
        block = file.read(_BLOCK_BYTES)
        start += block[: _LOOKED_AT_BYTES - len(start)]
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            raise _not_utf8(error, where, num_read + len(block), start) from error
        if text:
            yield text
        if not block:
            return
        num_read += len(block)


def _not_utf8(error: UnicodeDecodeError, where: str, end_byte: int, start: bytes) -> DataError:
    """Say where a text is not UTF-8; what was decoded ends at `end_byte`, but may lack a byte order mark."""
    name = likely_encoding(start)
    hint = f"it looks like {name}; `iconv -f {name} -t UTF-8` converts it" if name else ""
    rule = f"is not UTF-8 at byte {end_byte - len(error.object) + error.start}: 0x{error.object[error.start]:02x}"
    return file_problem(where, rule, hint or "iconv or your editor converts it")


def likely_encoding(content: bytes) -> str:
    """Guess the encoding of text that is not UTF-8; empty if nothing speaks for one.

    >>> likely_encoding("text".encode("utf-32")), likely_encoding("text".encode("utf-16"))
    ('UTF-32', 'UTF-16')
    """
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), "")
    if marked:
        return marked
    sample = content[:_LOOKED_AT_BYTES]
    if _is_mostly(sample, "UTF-8", _ANY):
        return ""
    return next((name for name, usual in _MULTIBYTE if _is_mostly(sample, name, usual)), "")


def _is_mostly(sample: bytes, encoding: str, usual: re.Pattern[str]) -> bool:
    """Whether a sample is valid in an encoding and its characters are mostly the usual ones."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return False
    num_foreign = sum(character > "\x7f" for character in text)
    return num_foreign >= 2 and len(usual.findall(text)) > _MOST * num_foreign


def file_problem(where: str, rule: str, hint: str = "") -> DataError:
    """Make the error of a file, or of a place in it."""
    return DataError([Problem(key="", rule=rule, hint=hint, where=where)])
