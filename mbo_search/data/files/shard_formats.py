"""What a file of token ids really holds: ids of another width or byte order pass for ids unless they are looked at.

Small ids written in 32 bits and read in 16 give a zero behind each id; written in 64 bits, three. So a width is
taken only if the file does not look like another one, of either byte order: no text has so many zeros there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mbo_search.data.files.walk import shown
from mbo_search.data.metadata import TokenWidth
from mbo_search.errors import DataError, Problem

_LOOKED_AT = 1 << 20
_FEWEST = 8
"""Numbers that it takes to tell one width from another."""

_OTHERS = (
    ("<i8", "64-bit"),
    (">i8", "big-endian 64-bit"),
    (">u4", "big-endian 32-bit"),
    (">u2", "big-endian 16-bit"),
)
_MAGICS = (
    (b"\x93NUMPY", "a NumPy file", "np.load(FILE).astype(np.uint16).tofile(NEW) writes a shard"),
    (b"PK\x03\x04", "a zip archive, such as weights that torch saved", "name only the files with tokens"),
    (b"GGUF", "a model in GGUF", "name only the files with tokens"),
)


def check_is_tokens(file: Path) -> None:
    """Refuse files that begin as something else.

    Raises:
        DataError: Names what it is.
    """
    with file.open("rb") as content:
        start = content.read(8)
    for magic, kind, hint in _MAGICS:
        if start.startswith(magic):
            raise DataError(
                [Problem(key="", rule=f"is {kind}, not a shard of tokens", hint=hint, where=shown(file))]
            )


def check_width(file: Path, width: TokenWidth, vocab_size: int, origin: str) -> None:
    """Refuse ids that are written in another width or byte order than they would be read in.

    Raises:
        DataError: Names what it looks like.
    """
    wider = [("<u4", "32-bit")] if width == "uint16" else []
    for dtype, name in (*wider, *_OTHERS):
        if looks_like(file, dtype, vocab_size):
            rule = f"would be read as {width} ({origin}), but holds {name} numbers"
            hint = f"np.fromfile(FILE, {dtype!r}).astype('<u{np.dtype(width).itemsize}').tofile(NEW) converts them"
            if dtype == "<u4":
                hint = f'{{"dtype": "uint32"}} in {file.with_suffix(".json").name} reads them'
            raise DataError([Problem(key="", rule=rule, hint=hint, where=shown(file))])


def looks_like(file: Path, dtype: str, vocab_size: int) -> bool:
    """Return whether the start of a file is ids in this format and would be nonsense in a narrower one."""
    kind = np.dtype(dtype)
    if file.stat().st_size % kind.itemsize:
        return False
    numbers = np.fromfile(file, dtype=kind, count=_LOOKED_AT)
    if len(numbers) < _FEWEST or int(numbers.min()) < 0 or int(numbers.max()) >= vocab_size:
        return False
    if not numbers.any():
        return False
    if kind.itemsize == 2:
        return int(numbers.max()) < 256 < vocab_size  # in the right order all would be multiples of 256
    halves = numbers.view("<u2").reshape(len(numbers), -1)
    return not (halves[:, 1:] if dtype.startswith("<") else halves[:, :-1]).any()
