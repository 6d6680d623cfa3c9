"""The text of a web page: what a reader sees, block by block, without scripts and styles."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_UNSEEN = frozenset({"script", "style", "template", "noscript", "svg"})
_BLOCKS = frozenset(
    {
        "address", "article", "aside", "blockquote", "body", "caption", "dd", "div", "dl", "dt", "figcaption",
        "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "html", "li", "main", "nav",
        "ol", "p", "pre", "section", "table", "td", "th", "title", "tr", "ul",
    }
)  # fmt: skip
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([A-Za-z0-9._-]+)")
_HEAD_BYTES = 2048
_SPACES = re.compile(r"[ \t\r\f\n]+")
_BLANK_LINES = re.compile(r"\n\s*\n+")


def html_text(page: str) -> str:
    """Take the text out of a page.

    >>> html_text("<title>T</title><p>One <b>two</b>.<script>x()</script><p>Three &amp; four")
    'T\\n\\nOne two.\\n\\nThree & four'
    """
    parser = _PageText()
    parser.feed(page)
    parser.close()
    lines = (line.strip() for line in "".join(parser.parts).split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


def declared_charset(page: bytes) -> str:
    """The encoding that a page names in its first bytes; UTF-8 if it names none."""
    found = _CHARSET.search(page[:_HEAD_BYTES])
    return found[1].decode("ascii") if found else "utf-8"


class _PageText(HTMLParser):
    """Collects text, with an empty line where a block begins or ends."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0
        self._verbatim = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unseen += tag in _UNSEEN
        self._verbatim += tag == "pre"
        self._border(tag)

    def handle_endtag(self, tag: str) -> None:
        self._unseen = max(0, self._unseen - (tag in _UNSEEN))
        self._verbatim = max(0, self._verbatim - (tag == "pre"))
        self._border(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._border(tag)

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data if self._verbatim else _SPACES.sub(" ", data))

    def _border(self, tag: str) -> None:
        if tag == "br":
            self.parts.append("\n")
        elif tag in _BLOCKS:
            self.parts.append("\n\n")
