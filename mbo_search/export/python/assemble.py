"""One program out of pieces: what a schedule does not need is cut away, and what is left is put in order."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

_PIECES = Path(__file__).parent / "pieces"
_ORDER = ("settings", "model", "text", "rates", "updates", "parts", "regularizing", "loop")
_OWN = __package__ or ""
_MARK = re.compile(r"(?P<code>.*?)\s*# only: (?P<rule>[\w ]+)$")
_TYPING = re.compile(r"\s+# type: ignore\[[\w-]+\]$")
_WIDTH = 88


@dataclass(frozen=True, slots=True)
class _Definition:
    """A statement of a module's top level.

    Attributes:
        names: The names that it binds.
        uses: The names that it mentions.
        text: Its lines, comments before it included.
        is_value: Whether it is an assignment, which may stand close to another one.
    """

    names: frozenset[str]
    uses: frozenset[str]
    text: str
    is_value: bool


def assemble(values: Mapping[str, str], features: frozenset[str]) -> str:
    """Put a program together.

    Args:
        values: Source text of the values in the place of those in the pieces, by name.
        features: What the schedule has.

    Returns:
        Imports and definitions, as `ruff format` would leave them.
    """
    imports: list[ast.Import | ast.ImportFrom] = []
    definitions: list[_Definition] = []
    for piece in _ORDER:
        text = cut((_PIECES / f"{piece}.py").read_text(encoding="utf-8"), features)
        tree = ast.parse(text)
        imports += [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        definitions += _definitions(tree, text, values)
    kept = _reached(definitions)
    used = frozenset().union(*(definition.uses for definition in kept))
    return "\n".join([*_import_lines(imports, used), "", _joined(kept)])


def cut(text: str, features: frozenset[str]) -> str:
    """Cut away what a piece holds for schedules that have something else.

    >>> cut("a = 1  # only: dropout\\nb = 2  # only: not dropout\\n", frozenset())
    'b = 2\\n'
    """
    lines = text.splitlines()
    ends = _statement_ends(text)
    dropped: set[int] = set()
    for number, line in enumerate(lines):
        mark = _MARK.match(line)
        if mark is None:
            continue
        first = number if mark["code"].strip() else number + 1
        if not _holds(mark["rule"], features):
            last = first if mark["code"].lstrip().startswith("@") else ends.get(first, first)
            dropped.update(range(number, last + 1))
        lines[number] = mark["code"]
        if first > number:
            dropped.add(number)
    kept = [_TYPING.sub("", line) for number, line in enumerate(lines) if number not in dropped]
    return re.sub(r"\n\n\n+(?=[ ])", "\n\n", "\n".join(kept)) + "\n"


def _statement_ends(text: str) -> dict[int, int]:
    """Last line of the statement that starts on a line, both from 0; decorators belong to it."""
    ends: dict[int, int] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.stmt):
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
            ends[first] = max(ends.get(first, 0), (node.end_lineno or node.lineno) - 1)
    return ends


def _holds(rule: str, features: frozenset[str]) -> bool:
    """Evaluate `a and not b or c`."""
    return any(
        all((word.removeprefix("not ") in features) != word.startswith("not ") for word in part.split(" and "))
        for part in rule.split(" or ")
    )


def _definitions(tree: ast.Module, text: str, values: Mapping[str, str]) -> Iterator[_Definition]:
    lines = text.splitlines()
    before = 0
    for node in tree.body:
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
        comments = _comments(lines[before:first])
        before = node.end_lineno or node.lineno
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Expr):
            continue
        source = _with_value(node, "\n".join(lines[first:before]), values)
        yield _Definition(
            names=_bound(node),
            uses=_mentioned(source),
            text="\n".join([*comments, source]),
            is_value=isinstance(node, ast.Assign | ast.AnnAssign),
        )


def _comments(lines: list[str]) -> list[str]:
    """The comment right before a statement."""
    found: list[str] = []
    for line in reversed(lines):
        if not line.startswith("#"):
            break
        found.insert(0, line)
    return found


def _with_value(node: ast.stmt, source: str, values: Mapping[str, str]) -> str:
    """A statement with the schedule's values in place of its own; comments behind it stay."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return source
    target = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target).strip("()")
    if target not in values:
        return source
    head, _, _ = source.partition(" = ")
    comment = re.search(r"  # .*$", source)
    return f"{head} = {values[target]}{comment[0] if comment else ''}"


def _bound(node: ast.stmt) -> frozenset[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return frozenset([node.name])
    stored = (name for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store))
    return frozenset(name.id for name in stored)


def _mentioned(source: str) -> frozenset[str]:
    return frozenset(node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name))


def _reached(definitions: list[_Definition]) -> list[_Definition]:
    """Whatever the program at the end reaches, in the order in which it stands."""
    homes = {name: definition for definition in definitions for name in definition.names}
    waiting = [definition for definition in definitions if not definition.names]
    reached: set[int] = set()
    while waiting:
        definition = waiting.pop()
        if id(definition) not in reached:
            reached.add(id(definition))
            waiting += [homes[name] for name in definition.uses if name in homes]
    return [definition for definition in definitions if id(definition) in reached]


def _joined(kept: list[_Definition]) -> str:
    """Definitions with the blank lines that belong between them."""
    text = kept[0].text
    for before, now in pairwise(kept):
        close = before.is_value and now.is_value
        apart = "\n\n\n"
        if close:
            apart = "\n\n" if "\n" in before.text + now.text else "\n"
        text += apart + now.text
    return text + "\n"


def _import_lines(imports: Iterable[ast.Import | ast.ImportFrom], used: frozenset[str]) -> list[str]:
    """Imports that are used, sorted as isort sorts them: the standard library, then packages."""
    plain: set[str] = set()
    members: dict[str, set[str]] = {}
    for node in imports:
        for alias in node.names:
            if (alias.asname or alias.name.partition(".")[0]) not in used:
                continue
            if isinstance(node, ast.Import):
                plain.add(f"import {alias.name} as {alias.asname}" if alias.asname else f"import {alias.name}")
            elif node.module is not None and not node.module.startswith(_OWN):
                members.setdefault(node.module, set()).add(alias.name)
    lines = {"from __future__ import annotations": "", **{line: line.split()[1] for line in sorted(plain)}}
    for module in sorted(members):
        lines[f"from {module} import {', '.join(sorted(members[module], key=_kind))}"] = module
    return _in_sections(lines)


def _in_sections(lines: Mapping[str, str]) -> list[str]:

    standard = [line for line, module in lines.items() if module.partition(".")[0] in sys.stdlib_module_names]
    others = [line for line, module in lines.items() if module and line not in standard]
    sections = (["from __future__ import annotations"], standard, others)
    return [line for section in sections if section for line in (*section, "")][:-1]


def _kind(name: str) -> tuple[int, str]:
    """Constants, classes, functions."""
    if name.isupper() and len(name) > 1:
        return 0, name
    return (1, name) if name[0].isupper() else (2, name)
