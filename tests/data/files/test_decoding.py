"""Proves that a file decoded in blocks gives the text of the whole, and names the place of a bad byte."""

from __future__ import annotations

import io

import pytest

from mbo_search.data.files.decoding import decode, decoded_blocks
from mbo_search.errors import DataError


class Trickle(io.BytesIO):
    """A file that gives three bytes at a time, as one that is decompressed may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(3)


@pytest.mark.parametrize("text", ["", "plain", "caf\u00e9 \u4f60\u597d \U0001f600", "\ufeffmarked"])
def test_blocks_are_the_text(text):
    content = text.encode()
    assert "".join(decoded_blocks(Trickle(content), "x")) == decode(content, "x")


@pytest.mark.parametrize(
    "content", [b"abcd\xff more", "\u4f60\u597d".encode()[:-1], b"\xef\xbb\xbfabcdef\xe9t\xe9"]
)
def test_a_bad_byte_is_named_as_in_the_whole(content):
    with pytest.raises(DataError) as whole:
        decode(content, "x")
    with pytest.raises(DataError) as found:
        list(decoded_blocks(Trickle(content), "x"))
    assert str(found.value) == str(whole.value)
