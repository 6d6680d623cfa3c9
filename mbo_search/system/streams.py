"""Output streams of a program whose reader may go away: a closed terminal, `| head`, a full disk.

What a long search says on the way is a courtesy. When nobody can read it any more, it is dropped, and the work goes
on.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TextIO, cast


class LastingStream(io.TextIOBase):
    """A stream that never raises because its reader is gone; from then on what is written is dropped.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_lost = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding of the stream."""
        return self._stream.encoding

    def write(self, text: str) -> int:
        """Write text, if somebody can still read it."""
        if not self._is_lost:
            try:
                return self._stream.write(text)
            except (OSError, ValueError):
                self._lose()
        return len(text)

    def flush(self) -> None:
        """Flush the stream, if somebody can still read it."""
        if not self._is_lost:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._lose()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal that is still there."""
        return not self._is_lost and self._stream.isatty()

    def fileno(self) -> int:
        """Number of the stream's file."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True

    def _lose(self) -> None:
        self._is_lost = True
        drop_output(self._stream)


def lasting(stream: TextIO) -> TextIO:
    """Return the stream as one that never raises because its reader is gone."""
    return cast(TextIO, LastingStream(stream))


def drop_output(stream: TextIO) -> None:
    """Let a stream's file lead nowhere, so that neither Python at its exit nor a library meets an error there."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def open_standard_files() -> None:
    """Open what the caller has closed (`>&-`), so that no other file gets the number of a standard one."""
    for number, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, mode)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor, for good
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor, for good
