"""The sign of an answer: a small picture for the tab of a browser and for the first line of a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote

from markupsafe import Markup

Outcome = Literal["yes", "no", "undecided", "unconfirmed", "none"]
"""What a page has to say: an answer on fresh seeds, one that only a search has given, or nothing yet."""

# Form and color both differ, so that neither is needed to tell two of them apart.
_SHAPES: Mapping[Outcome, str] = MappingProxyType(
    {
        "yes": '<circle cx="8" cy="8" r="7" fill="#1a7f4b"/><path d="M4.5 8.3l2.4 2.4 4.6-5" stroke="#fff"/>',
        "no": '<rect x="1.5" y="1.5" width="13" height="13" rx="2" fill="#b8402f"/><path d="M5 5l6 6M11 5l-6 6" '
        'stroke="#fff"/>',
        "undecided": '<path d="M8 .8L15.2 8 8 15.2.8 8z" fill="#a8690f"/><path d="M4.5 8h7" stroke="#fff"/>',
        "unconfirmed": '<circle cx="8" cy="8" r="6" stroke="#3d82c4"/><circle cx="8" cy="8" r="2.4" '
        'fill="#3d82c4"/>',
        "none": '<circle cx="8" cy="8" r="6" stroke="#7d7d7d" stroke-dasharray="2.6 2.1"/>',
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Icon:
    """One sign in both of its forms.

    Attributes:
        svg: An element that stands in a line of text.
        href: The same as an address, for the tab.
    """

    svg: Markup
    href: str


def icon_of(outcome: Outcome) -> Icon:
    """Draw the sign of an outcome.

    >>> icon_of("yes").href[:24]
    'data:image/svg+xml,%3Csv'
    """
    parts = _SHAPES[outcome]
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" fill="none" stroke-width="2" '
        f'stroke-linecap="round" aria-hidden="true">{parts}</svg>'
    )
    # Safe: made of constants only.
    return Icon(svg=Markup(svg), href=f"data:image/svg+xml,{quote(svg)}")
