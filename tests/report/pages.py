"""What a report holds, and what a parser sees of it."""

from __future__ import annotations

import json
from html.parser import HTMLParser

FIGURE_SECTIONS = (
    "timelines",
    "curves",
    "lr",
    "attribution",
    "history",
    "parallel",
    "importance",
    "slices",
    "pareto",
    "tree",
)

SECTIONS = (
    "verdict",
    "ladder",
    "ranking",
    *FIGURE_SECTIONS,
    "samples",
    "advice",
    "failures",
    "data",
    "environment",
    "reproduce",
)
"""The sections in their order."""

DRAWN = ("ladder", "picture", *(key for key in FIGURE_SECTIONS if key != "attribution"))
"""Figures of a finished study without attribution and repeats."""


class ParsedPage(HTMLParser):
    """Collects what a browser would see: elements, their attributes, the embedded values, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.embedded: dict[str, str] = {}
        self.text = ""
        self._inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.elements.append((tag, values))
        if tag in ("script", "style"):
            self._inside = values.get("id") or tag

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._inside = None

    def handle_data(self, data):
        if self._inside is None:
            self.text += data
        elif self._inside not in ("script", "style"):
            self.embedded[self._inside] = self.embedded.get(self._inside, "") + data

    def values(self, name: str):
        return json.loads(self.embedded[name])
