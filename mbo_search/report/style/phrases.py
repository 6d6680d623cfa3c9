"""Sentences that the ranking writes in English, in the language of the page.

The English file of words holds their patterns with names for what changes; the other files hold the same with the
same names. What no pattern knows stays as it is.
"""

from __future__ import annotations

import functools
import re
import string

from mbo_search.report.parameters import parameter_name
from mbo_search.report.style.i18n import Strings, load_strings
from mbo_search.study.space.parameter_names import stage_of


def translated(sentence: str, text: Strings) -> str:
    """A sentence of the ranking in the language of a page."""
    if text.language == "en":
        return sentence
    for key, pattern in _patterns():
        found = pattern.fullmatch(sentence)
        if found is not None:
            values = {name: translated(_setting(value, text), text) for name, value in found.groupdict().items()}
            return text["phrases"][key].format(**values)
    return sentence


def _setting(value: str, text: Strings) -> str:
    """The name of a searched setting in words; anything else stays."""
    stage, name = stage_of(value), parameter_name(value, text["names"])
    if stage < 0:
        return name if value.startswith("stage/") else value
    return f"{text['names']['stage']} {stage + 1}, {name}"


@functools.cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((key, re.compile(_pattern(phrase))) for key, phrase in load_strings("en")["phrases"].items())


def _pattern(phrase: str) -> str:
    """The regular expression of a phrase; a blank that comes again must hold the same."""
    parts: list[str] = []
    seen: set[str] = set()
    for literal, name, _, _ in string.Formatter().parse(phrase):
        parts.append(re.escape(literal))
        if name is not None:
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>.+?)")
            seen.add(name)
    return "".join(parts)
