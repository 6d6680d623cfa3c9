"""Print how many lines of code, documentation and nothing each room of the package has."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["count_lines", "count_rooms"]

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("code", "doc", "blank")


def count_lines(text: str) -> Counter[str]:
    """Count the lines of a module by kind.

    Args:
        text: The module's source.

    Returns:
        Numbers of lines for `code`, `doc` (docstrings and lines that hold only a comment) and `blank`.
    """
    in_docstrings = {line for first, last in _docstrings(ast.parse(text)) for line in range(first, last + 1)}
    return Counter(
        "doc" if number in in_docstrings or line.lstrip().startswith("#") else "code" if line.strip() else "blank"
        for number, line in enumerate(text.splitlines(), start=1)
    )


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, int]]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            yield node.body[0].lineno, node.body[0].end_lineno or node.body[0].lineno


def count_rooms(package: Path) -> Mapping[str, Counter[str]]:
    """Count the lines and files of each room, sub-folders included.

    Args:
        package: The folder of the package.

    Returns:
        Numbers of `files`, `code`, `doc` and `blank` for each top-level folder or module.
    """
    rooms: dict[str, Counter[str]] = {}
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).with_suffix("").parts[0]
        counts = count_lines(path.read_text(encoding="utf-8"))
        rooms.setdefault(room, Counter()).update({"files": 1, **counts})
    return rooms


def main() -> None:
    """Print a row for each room, the largest first, and their sum."""
    rooms = count_rooms(ROOT / "mbo_search")
    ordered = sorted(rooms, key=lambda room: -rooms[room]["code"])
    columns = ("files", *KINDS)
    print(f"{'room':<12}" + "".join(f"{column:>8}" for column in columns))
    for room in ordered:
        print(f"{room:<12}" + "".join(f"{rooms[room][column]:>8,}" for column in columns))
    total = sum(rooms.values(), Counter[str]())
    print(f"{'together':<12}" + "".join(f"{total[column]:>8,}" for column in columns))


if __name__ == "__main__":
    main()
