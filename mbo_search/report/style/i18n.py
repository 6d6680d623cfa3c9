"""The words of the pages, one file a language; code and templates hold keys only."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from mbo_search.study.spec.network_facts import Predicted

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


def load_strings(language: Language, predicted: Predicted = "next_token") -> Strings:
    """Load the words of a language.

    Args:
        language: The language.
        predicted: What perplexities are about: where it is not every token, they are called so everywhere.
    """
    file = resources.files("mbo_search.report") / "templates" / f"{language}.json"
    groups: dict[str, dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))
    word, full = _PERPLEXITY[language], _PERPLEXITIES[language][predicted]
    called = {
        group: {key: re.sub(word, full, text) if isinstance(text, str) else text for key, text in texts.items()}
        for group, texts in groups.items()
    }
    return Strings(language=language, groups=called)


_PERPLEXITY: Mapping[Language, str] = {
    "en": r"(?<!\{)\b([Pp]erplexity)\b(?!\})",
    "zh": "(\u56f0\u60d1\u5ea6)",
}
"""The word in a text, but not in what is filled in."""

_PERPLEXITIES: Mapping[Language, Mapping[Predicted, str]] = {
    "en": {
        "next_token": r"\1",
        "masked": r"\1 of masked tokens",
        "completion": r"\1 of answers",
    },
    "zh": {
        "next_token": r"\1",
        "masked": "\u63a9\u7801\u8bcd\u5143\\1",
        "completion": "\u7b54\u6848\\1",
    },
}
