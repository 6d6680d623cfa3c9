"""Functions of the standard library, each with the first line of its docstring: what does this code do?"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from mbo_search.data.built_in.python_sources import Function, definitions, module_name, source_text
from mbo_search.data.document import Row

_LONGEST_FUNCTION = 1500
"""Characters; a longer one would lose its head in a small model's context."""

_SHORTEST_SUMMARY = 8


def summaries(root: Path, files: Sequence[Path]) -> Iterator[Row]:
    """Every function with a docstring: its source without it, and the first line of it.

    Args:
        root: The library's folder.
        files: Sources below it.
    """
    for file in files:
        text = source_text(file)
        lines = text.splitlines()
        module = module_name(file.relative_to(root))
        for name, node in definitions(ast.parse(text), module):
            if not isinstance(node, Function):
                continue
            summary, code = _summary(node), _without_docstring(node, lines)
            if len(summary) >= _SHORTEST_SUMMARY and 0 < len(code) <= _LONGEST_FUNCTION:
                values = {"function": code, "summary": summary, "name": name, "module": module}
                yield Row(name=f"summarize:{name}", values=values)


def _summary(node: Function) -> str:
    return next(iter((ast.get_docstring(node) or "").strip().splitlines()), "")


def _without_docstring(node: Function, lines: Sequence[str]) -> str:
    """The source of a function without its docstring; empty if nothing else is in it, or no line is its own."""
    docstring, rest = node.body[0], node.body[1:]
    own_lines = node.body[0].lineno > node.lineno and (not rest or rest[0].lineno > (docstring.end_lineno or 0))
    if not rest or not own_lines:
        return ""
    kept = [*lines[node.lineno - 1 : docstring.lineno - 1], *lines[docstring.end_lineno : node.end_lineno]]
    return textwrap.dedent("\n".join(kept)).strip()
