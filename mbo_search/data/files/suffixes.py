"""Endings of file names, compression included, and opening what is compressed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
from pathlib import Path
from typing import BinaryIO, cast

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
"""Endings that may follow the ending of a text file."""

# Large wikis are published in parts, named by their pages: `...-articles1.xml-p1p41242.bz2`.
_PAGES = re.compile(r"(?<=\.xml)-p\d+p\d+$")


def suffix_of(path: Path) -> str:
    """The ending that decides how a file is read, in lower case.

    >>> suffix_of(Path("a.b/data.JSONL.gz")), suffix_of(Path("book.txt")), suffix_of(Path("archive.gz"))
    ('.jsonl.gz', '.txt', '.gz')
    >>> suffix_of(Path("enwiki-latest-pages-articles1.xml-p1p41242.bz2"))
    '.xml.bz2'
    """
    last = path.suffix.lower()
    inner = Path(path.stem).suffix.lower() if last in COMPRESSED else ""
    return _PAGES.sub("", inner) + last if inner else _PAGES.sub("", last)


def plain_suffix(path: Path) -> str:
    """The ending of a file as it would be if it were not compressed.

    >>> plain_suffix(Path("data.jsonl.zst"))
    '.jsonl'
    """
    return Path(suffix_of(path)).stem if path.suffix.lower() in COMPRESSED else suffix_of(path)


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading, decompressing it by its ending.

    Raises:
        OSError: If it cannot be read; while reading, also if it is damaged.
    """
    last = path.suffix.lower()
    if last == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if last == ".bz2":
        return cast(BinaryIO, bz2.open(path, "rb"))
    if last == ".xz":
        return cast(BinaryIO, lzma.open(path, "rb"))
    return _open_zstandard(path) if last == ".zst" else path.open("rb")


def _open_zstandard(path: Path) -> BinaryIO:
    import pyarrow as pa

    path.open("rb").close()  # pyarrow names no reason why a file cannot be opened
    stream = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
    return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, stream), buffer_size=1 << 20))
