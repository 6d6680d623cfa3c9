"""Docstrings of the standard library, each with the module that it comes from: what is this about?"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mbo_search.data.built_in.python_sources import definitions, module_name, source_text
from mbo_search.data.document import Row

_FEWEST_OF_A_MODULE = 100
"""Docstrings of a top-level module that is a label; with fewer there would be little to learn from."""

_SHORTEST, _LONGEST = 20, 400
"""Characters of a docstring; longer ones are cut at the end of a line."""


def docstrings_by_module(root: Path, files: Sequence[Path]) -> Iterator[Row]:
    """Distinct docstrings of the top-level modules that have many.

    Args:
        root: The library's folder.
        files: Sources below it.
    """
    rows = list(_rows(root, files))
    counts = Counter(row.values["module"] for row in rows)
    yield from (row for row in rows if counts[row.values["module"]] >= _FEWEST_OF_A_MODULE)


def _rows(root: Path, files: Sequence[Path]) -> Iterator[Row]:
    seen: set[str] = set()
    for file in files:
        module = module_name(file.relative_to(root))
        for name, node in definitions(ast.parse(source_text(file)), module):
            text = _beginning(ast.get_docstring(node) or "")
            if len(text) >= _SHORTEST and text not in seen:
                seen.add(text)
                values = {"docstring": text, "module": module.partition(".")[0], "name": name}
                yield Row(name=f"classify:{name}", values=values)


def _beginning(docstring: str) -> str:
    """As many whole lines of a docstring as fit."""
    lines = docstring.strip().splitlines()
    length = 0
    for number, line in enumerate(lines):
        length += len(line) + 1
        if length > _LONGEST:
            return "\n".join(lines[:number]).rstrip()
    return "\n".join(lines)
