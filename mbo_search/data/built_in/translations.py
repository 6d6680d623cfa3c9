"""Names of languages, territories and currencies in English with their Chinese and French: how is this called?

The names are those of the Unicode CLDR, as the package Babel brings them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mbo_search.data.document import Row

_TARGETS = {"Chinese": "zh_Hans", "French": "fr"}
_KINDS = {"language": "languages", "territory": "territories", "currency": "currencies"}


def tables(folder: Path) -> tuple[Path, ...]:
    """The files below the package's folder that the names come from."""
    names = ("en", "fr", "zh", "zh_Hans")
    return tuple(folder / "locale-data" / f"{name}.dat" for name in names)


def translations() -> Iterator[Row]:
    """Every name that both languages have, twice: once for each."""
    from babel import Locale

    english = Locale.parse("en")
    others = {language: Locale.parse(code) for language, code in _TARGETS.items()}
    for kind, attribute in _KINDS.items():
        for code, name in sorted(_names(english, attribute).items()):
            found = {language: _names(locale, attribute).get(code) for language, locale in others.items()}
            if not all(found.values()):
                continue
            for language, translation in found.items():
                values = {"english": name, "translation": translation, "language": language, "kind": kind}
                yield Row(name=f"translate:{kind}:{code}:{language}", values=values)


def _names(locale: Any, attribute: str) -> Mapping[str, str]:
    names: Mapping[str, str] = getattr(locale, attribute)
    return names
