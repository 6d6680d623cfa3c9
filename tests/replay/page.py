"""A report page as values: what a reader sees, and what its figures and tables are drawn from."""

from __future__ import annotations

import hashlib
import json
from html.parser import HTMLParser
from typing import Any

_UNSEEN = {"script", "style", "title"}
_BLOCKS = {"p", "h1", "h2", "h3", "li", "tr", "dt", "dd", "section", "header", "div", "label", "option", "figure"}
_MACHINE_SECTION = "environment"
"""The section that describes the machine, its versions and its memory."""

_EXCERPT = 60


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = [""]
        self.data: dict[str, str] = {}
        self._inside: list[tuple[str, str | None]] = []
        self._skipped_section = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag in _UNSEEN:
            self._inside.append((tag, named.get("id") if named.get("type") == "application/json" else None))
        if tag == "section" and (self._skipped_section or named.get("id") == _MACHINE_SECTION):
            self._skipped_section += 1
        if tag in _BLOCKS:
            self.lines.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._inside.pop()
        if tag == "section" and self._skipped_section:
            self._skipped_section -= 1
        if tag in _BLOCKS:
            self.lines.append("")

    def handle_data(self, data: str) -> None:
        if self._inside:
            name = self._inside[-1][1]
            if name is not None:
                self.data[name] = self.data.get(name, "") + data
        elif not self._skipped_section:
            self.lines[-1] += data


def read_page(html: str) -> tuple[list[str], dict[str, Any]]:
    """The visible lines of a page, that of the machine aside, and its embedded JSON by name."""
    reader = _Reader()
    reader.feed(html)
    lines = [" ".join(line.split()) for line in reader.lines]
    return [line for line in lines if line], {name: json.loads(text) for name, text in reader.data.items()}


def digest_parts(value: Any, depth: int = 3) -> Any:
    """A large value, each part of it below some depth as a hash and its first characters."""
    if depth and isinstance(value, dict):
        return {key: digest_parts(part, depth - 1) for key, part in value.items()}
    if depth and isinstance(value, list):
        return [digest_parts(part, depth - 1) for part in value]
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if len(text) <= _EXCERPT:
        return value
    return f"{hashlib.sha256(text.encode()).hexdigest()[:12]} {text[:_EXCERPT]}"
