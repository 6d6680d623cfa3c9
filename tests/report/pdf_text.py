"""The text of a PDF that Chromium printed, as far as a test has to find words in it."""

from __future__ import annotations

import re
import zlib

__all__ = ["num_pages", "pdf_text"]

_OBJECT = re.compile(rb"(?:^|\n)(\d+) 0 obj\n(.*?)\nendobj", re.DOTALL)
_STREAM = re.compile(rb"stream\r?\n(.*)endstream", re.DOTALL)
_SHOWN = re.compile(rb"/(F\d+) [\d.]+ Tf|<([0-9A-Fa-f]+)>|\bET\b")


def num_pages(pdf: bytes) -> int:
    """Sheets of paper that it takes."""
    return len(re.findall(rb"/Type /Page\b(?!s)", pdf))


def pdf_text(pdf: bytes) -> str:
    """All that is written in it, in the order in which it was drawn; a line break after each piece."""
    objects = dict(_OBJECT.findall(pdf))
    streams = {number: _inflated(content) for number, content in objects.items()}
    fonts = {
        name: _characters(streams[unicode[1]])
        for name, number in dict(re.findall(rb"/(F\d+) (\d+) 0 R", pdf)).items()
        if (unicode := re.search(rb"/ToUnicode (\d+) 0 R", objects[number])) is not None
    }
    return "".join(_drawn(stream, fonts) for stream in streams.values() if b"BT\n" in stream)


def _inflated(content: bytes) -> bytes:
    found = _STREAM.search(content)
    if found is None:
        return b""
    is_packed = b"/FlateDecode" in content.split(b"stream", 1)[0]
    return zlib.decompressobj().decompress(found[1]) if is_packed else found[1]


def _characters(table: bytes) -> dict[int, str]:
    """What the glyphs of a font stand for."""
    known: dict[int, str] = {}
    for block in re.findall(rb"beginbfchar(.*?)endbfchar", table, re.DOTALL):
        for glyph, text in re.findall(rb"<(\w+)> <(\w+)>", block):
            known[int(glyph, 16)] = bytes.fromhex(text.decode()).decode("utf-16-be")
    for block in re.findall(rb"beginbfrange(.*?)endbfrange", table, re.DOTALL):
        for low, high, text in re.findall(rb"<(\w+)> <(\w+)> <(\w+)>", block):
            for step in range(int(high, 16) - int(low, 16) + 1):
                known[int(low, 16) + step] = chr(int(text, 16) + step)
    return known


def _drawn(stream: bytes, fonts: dict[bytes, dict[int, str]]) -> str:
    font: dict[int, str] = {}
    parts: list[str] = []
    for name, glyphs in _SHOWN.findall(stream):
        if name:
            font = fonts.get(name, {})
        elif glyphs:
            parts += [font.get(int(glyphs[at : at + 4], 16), "") for at in range(0, len(glyphs), 4)]
        else:
            parts.append("\n")
    return "".join(parts)
