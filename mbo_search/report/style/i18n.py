"""The words of the pages, one file a language; code and templates hold keys only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Literal

Language = Literal["en", "zh"]
"""Languages of the pages."""

LANGUAGES: tuple[Language, ...] = ("en", "zh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Strings:
    """All words of one language, in groups.

    Attributes:
        language: BCP 47 tag of the page.
        groups: Texts by key, by group; braces are filled by `str.format`.
    """

    language: Language
    groups: Mapping[str, Mapping[str, str]]

    def __getitem__(self, group: str) -> Mapping[str, str]:
        """The texts of a group."""
        return self.groups[group]


def load_strings(language: Language) -> Strings:
    """Load the words of a language."""
    file = resources.files("mbo_search.report") / "templates" / f"{language}.json"
    groups: dict[str, dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))
    return Strings(language=language, groups=groups)
