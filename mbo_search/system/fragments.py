"""Small fragments of HTML, for values that a notebook shows: words and a table, no script, nothing unescaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_STYLE = "font-family: system-ui, sans-serif; max-width: 60rem; line-height: 1.45"
_HEADLINE = "font-size: 1.25em; font-weight: 600; margin: .2em 0 .6em"
_CELL = "text-align: left; vertical-align: top"


def fragment(headline: str, *parts: str) -> str:
    """Put parts under a headline; empty ones are left out.

    >>> "<b>" in fragment("a <b> b")
    False
    """
    return f'<div style="{_STYLE}">\n<p style="{_HEADLINE}">{escape(headline)}</p>\n{"".join(parts)}</div>\n'


def paragraphs(*texts: str) -> str:
    """Write texts one below the other.

    >>> paragraphs("one", "", "a < b")
    '<p>one</p>\\n<p>a &lt; b</p>\\n'
    """
    return "".join(f"<p>{escape(text)}</p>\n" for text in texts if text)


def grid(rows: Iterable[Sequence[str]], header: Sequence[str] = ()) -> str:
    """Lay out rows; without a header the first cell of each is one.

    >>> grid([("lr", "0.002")]).count("<th"), grid([("0.002",)], header=("lr",)).count("<th")
    (1, 1)
    """
    top = [f"<tr>{''.join(_cell('th', text) for text in header)}</tr>"] if header else []
    body = [
        "".join(_cell("td" if header or place else "th", text) for place, text in enumerate(row)) for row in rows
    ]
    return "\n".join(["<table>", *top, *(f"<tr>{row}</tr>" for row in body), "</table>\n"])


def _cell(kind: str, text: str) -> str:
    return f'<{kind} style="{_CELL}">{escape(text)}</{kind}>'
