"""What two runs on the same machine may differ in is taken out here, each with its reason; the rest is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VARYING: Mapping[str, str] = {
    "peak_memory_bytes": "measured: depends on the allocator and on what the process did before",
    "created": "the date",
    "data_folder": "the machine's cache",
    "versions": "of the packages; told in `made_with`",
    "memory": "the same, in the tables of a page",
    "nodes_that_fit": "into the free disk",
    "store_bytes": "half of the free disk",
}
"""Keys of documents whose values are left out, and why."""

_VARYING_TEXT = {
    "DATE": re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\+00:00| UTC)?"),  # of logs and pages
    "DISK": re.compile(r"(?<=cached states)  .* fit into .*"),  # what `plan` says of the free disk
}


class Canon:
    """Turns what a command wrote into what is compared.

    Attributes:
        places: Folders of this run, and what stands for them in a recording.
    """

    def __init__(self, places: Sequence[tuple[Path, str]]) -> None:
        self.places = places

    def value(self, found: Any) -> Any:
        """A JSON value without what varies."""
        if isinstance(found, dict):
            return {key: self.value(part) for key, part in found.items() if key not in VARYING}
        if isinstance(found, list | tuple):
            return [self.value(part) for part in found]
        return self.text(found) if isinstance(found, str) else found

    def text(self, found: str) -> str:
        """A text without places and dates."""
        for folder, name in self.places:
            found = found.replace(str(folder), name)
        for name, pattern in _VARYING_TEXT.items():
            found = pattern.sub(name, found)
        return found

    def lines(self, found: str) -> list[str]:
        """The lines of a text without places and dates."""
        return [line.rstrip() for line in self.text(found).splitlines()]


def exact_floats(found: Any) -> Any:
    """A JSON value with every float as hexadecimal digits: all its bits, and nothing rounded."""
    if isinstance(found, dict):
        return {key: exact_floats(part) for key, part in found.items()}
    if isinstance(found, list):
        return [exact_floats(part) for part in found]
    return found.hex() if isinstance(found, float) else found
