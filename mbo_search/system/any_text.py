"""Output that takes every text: names of files are bytes, and a terminal may know ASCII only."""

from __future__ import annotations

import codecs
import io
import sys
from typing import TextIO

_HANDLER = "mbo_search_any_text"


def accept_any_text() -> None:
    """Let stdout and stderr write every text; what their encoding lacks becomes an escape, never an error.

    Bytes of a file's name that are no text go to files and pipes as they are, so that scripts find the file; a
    terminal, which might take them for commands, gets escapes.
    """
    codecs.register_error(_HANDLER, _bytes_or_escape)
    for stream in (sys.stdout, sys.stderr):
        _accept_any_text(stream)


def _accept_any_text(stream: TextIO | None) -> None:
    """Change how a stream treats what it cannot encode; one that was replaced by something else stays as it is."""
    if not isinstance(stream, io.TextIOWrapper) or stream.closed:
        return
    stream.reconfigure(errors="backslashreplace" if stream.isatty() else _HANDLER)


def _bytes_or_escape(error: UnicodeError) -> tuple[str | bytes, int]:
    r"""Write the bytes of a file's name as they are, and everything else as an escape.

    >>> error = UnicodeEncodeError("ascii", "caf\udce9 \u4e2d", 3, 6, "")
    >>> _bytes_or_escape(error)
    (b'\xe9 \\u4e2d', 6)
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    pieces = (letter.encode("ascii", errors=_way(letter)) for letter in letters)
    return b"".join(pieces), error.end


def _way(letter: str) -> str:
    return "surrogateescape" if "\udc80" <= letter <= "\udcff" else "backslashreplace"
