"""Sources of Python as text and as syntax trees; nothing is imported."""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
Named = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def module_name(path: Path) -> str:
    """The name by which a file below the library's root is imported.

    >>> module_name(Path("json/__init__.py")), module_name(Path("json/decoder.py"))
    ('json', 'json.decoder')
    """
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def source_text(file: Path) -> str:
    """Read a source in the encoding that it declares."""
    with tokenize.open(file) as source:
        return source.read()


def definitions(node: ast.AST, name: str) -> Iterator[tuple[str, Named | ast.Module]]:
    """A module with all classes and functions in it, each with its dotted name."""
    if isinstance(node, ast.Module | Named):
        yield name, node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Named):
            yield from definitions(child, f"{name}.{child.name}")
        elif isinstance(child, ast.stmt):
            yield from definitions(child, name)
