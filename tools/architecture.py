"""Draw the rooms of the package and the imports between them: `docs/architecture.svg`.

The picture follows the code: rooms and their order come from the layers in pyproject.toml, what a room does comes
from its docstring, and the arrows come from the import statements as they are written, those inside functions
included. A row shows what a room imports, a column who imports it. An import against the order would stand in the
lower left, in red.
"""

from __future__ import annotations

import ast
import html
import textwrap
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Room", "architecture_svg", "import_counts", "read_rooms"]

ROOT = Path(__file__).resolve().parents[1]

_TEXT_WIDTH, _COLUMN, _ROW = 300, 58, 66
_TOP, _LEFT, _MARGIN = 92, 24, 22
_BOX_WIDTH, _BOX_HEIGHT = 60, 32
_SUMMARY_CHARACTERS, _PARTS_CHARACTERS, _LINE = 37, 42, 15


@dataclass(frozen=True, kw_only=True)
class Room:
    """A top-level folder or module of the package, with its docstring and its sub-folders."""

    name: str
    summary: str
    parts: tuple[str, ...]


def architecture_svg(root: Path = ROOT) -> str:
    """Draw the package of a checkout.

    Args:
        root: The folder that holds pyproject.toml.

    Returns:
        The picture as the text of an SVG file.
    """
    package, order = _layers(root / "pyproject.toml")
    rooms = read_rooms(root / package, order)
    return _Picture(rooms, import_counts(root / package, [room.name for room in rooms])).text()


def _layers(pyproject: Path) -> tuple[str, list[str]]:
    settings = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in settings["contracts"] if contract["type"] == "layers")
    modules = [module.strip() for layer in layers for module in layer.split("|")]
    return settings["root_packages"][0], [module.partition(".")[2] for module in modules]


def read_rooms(package: Path, order: Sequence[str]) -> list[Room]:
    """Read the rooms of a package, the highest first; what the order leaves out stands above it.

    Args:
        package: The folder of the package.
        order: Names of rooms, the highest first.

    Returns:
        The rooms that exist. The package's own `__init__` is not one: it only repeats names.
    """
    present = {path.stem if path.is_file() else path.name: path for path in _children(package)}
    unlisted = sorted(set(present) - set(order))
    return [_room(name, present[name]) for name in [*unlisted, *order] if name in present]


def _children(package: Path) -> Iterator[Path]:
    for path in sorted(package.iterdir()):
        if any(path.rglob("*.py")) if path.is_dir() else path.suffix == ".py" and path.name != "__init__.py":
            yield path


def _room(name: str, path: Path) -> Room:
    source = path / "__init__.py" if path.is_dir() else path
    docstring = ast.get_docstring(_tree(source)) or "" if source.is_file() else ""
    summary = " ".join(docstring.partition("\n\n")[0].split()).replace("`", "")
    folders = [child.name for child in sorted(path.iterdir()) if any(child.glob("*.py"))] if path.is_dir() else []
    return Room(name=name, summary=summary.split(". ")[0].rstrip("."), parts=tuple(folders))


def import_counts(package: Path, names: Sequence[str]) -> Mapping[tuple[str, str], int]:
    """Count the import statements from one room to another.

    Args:
        package: The folder of the package.
        names: The rooms.

    Returns:
        The number of statements for each pair of importing and imported room.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for path in sorted(package.rglob("*.py")):
        importer = path.relative_to(package).with_suffix("").parts[0]
        targets = _imported(path, package)
        counts.update((importer, target) for target in targets if target in names and target != importer)
    return counts


def _imported(path: Path, package: Path) -> list[str]:
    return [room for node in ast.walk(_tree(path)) for room in _rooms_named(node, path, package)]


def _rooms_named(node: ast.AST, path: Path, package: Path) -> Iterator[str]:
    modules: list[str] = []
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        module = _absolute(node, path, package)
        modules = [f"{module}.{alias.name}" for alias in node.names] if module == package.name else [module]
    for module in modules:
        top, _, rest = module.partition(".")
        if top == package.name and rest:
            yield rest.partition(".")[0]


def _absolute(node: ast.ImportFrom, path: Path, package: Path) -> str:
    if not node.level:
        return node.module or ""
    folder = path.relative_to(package.parent).parts[: -node.level]
    return ".".join([*folder, *([node.module] if node.module else [])])


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


class _Picture:
    """Boxes on a diagonal: arrows leave a room to the right and arrive from above."""

    def __init__(self, rooms: Sequence[Room], counts: Mapping[tuple[str, str], int]) -> None:
        self.rooms = rooms
        self.position = {room.name: index for index, room in enumerate(rooms)}
        self.counts = {
            (self.position[importer], self.position[target]): count
            for (importer, target), count in counts.items()
            if importer in self.position and target in self.position
        }
        self.width = _LEFT + _TEXT_WIDTH + _COLUMN * len(rooms) + _MARGIN
        self.height = _TOP + _ROW * len(rooms) + _MARGIN

    def text(self) -> str:
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" role="img" '
                'aria-labelledby="title desc" font-family="system-ui, sans-serif">',
                '  <title id="title">The rooms of the package and the imports between them</title>',
                f'  <desc id="desc">{self._description()}</desc>',
                _STYLE,
                f'  <rect class="card" x="1" y="1" width="{self.width - 2}" height="{self.height - 2}" rx="14"/>',
                *self._heading(),
                *(line for row, room in enumerate(self.rooms) for line in self._row(row, room)),
                *(self._wire(row) for row in range(len(self.rooms))),
                *(self._arrow(column) for column in range(len(self.rooms))),
                *(self._count(row, column) for row, column in sorted(self.counts)),
                *(self._box(row, room) for row, room in enumerate(self.rooms)),
                "</svg>\n",
            ]
        )

    def _description(self) -> str:
        names = ", ".join(room.name for room in self.rooms)
        return f"From the highest room to the lowest: {names}. {self._balance()}."

    def _heading(self) -> list[str]:
        told = f"A row shows what a room imports, a column who imports it. {self._balance()}."
        return [
            f'  <text class="title" x="{_LEFT}" y="42">Rooms of the package</text>',
            f'  <text class="quiet" x="{_LEFT}" y="64">{told}</text>',
        ]

    def _balance(self) -> str:
        num_upward = sum(count for (row, column), count in self.counts.items() if row > column)
        return f"{sum(self.counts.values()) - num_upward} imports go down, {num_upward or 'none'} up"

    def _row(self, row: int, room: Room) -> Iterator[str]:
        middle = self._y(row)
        most = 2 if room.parts else 3
        summary = textwrap.wrap(room.summary, _SUMMARY_CHARACTERS, max_lines=most, placeholder=" ...")
        parts = textwrap.wrap(", ".join(room.parts), _PARTS_CHARACTERS)
        lines = [*(("quiet", line) for line in summary), *(("parts", line) for line in parts)]
        first = middle + 4 - _LINE * (len(lines) - 1) / 2
        start = _LEFT + _TEXT_WIDTH
        yield f'  <line class="leader" x1="{start}" y1="{middle}" x2="{self._x(row)}" y2="{middle}"/>'
        for index, (kind, line) in enumerate(lines):
            yield f'  <text class="{kind}" x="{_LEFT}" y="{first + _LINE * index:g}">{html.escape(line)}</text>'

    def _wire(self, row: int) -> str:
        targets = [column for importer, column in self.counts if importer == row]
        reached = [column for column in (min(targets, default=row), max(targets, default=row)) if column != row]
        return "\n".join(
            f'  <line class="{"wire" if column > row else "wire up"}" x1="{self._x(row)}" y1="{self._y(row)}" '
            f'x2="{self._x(column)}" y2="{self._y(row)}"/>'
            for column in dict.fromkeys(reached)
        )

    def _arrow(self, column: int) -> str:
        rows = [row for row, target in self.counts if target == column and row < column]
        if not rows:
            return ""
        x, tip = self._x(column), self._y(column) - _BOX_HEIGHT / 2
        return (
            f'  <line class="wire" x1="{x}" y1="{self._y(min(rows))}" x2="{x}" y2="{tip - 6:g}"/>\n'
            f'  <path class="head" d="M{x} {tip - 1:g} l-4.5 -8 h9 z"/>'
        )

    def _count(self, row: int, column: int) -> str:
        count = self.counts[row, column]
        strength = min(1.0, 0.12 + 0.88 * (count / max(self.counts.values())) ** 0.5)
        kind = "up" if row > column else "strong" if strength > 0.5 else "weak"
        names = f"{self.rooms[row].name} imports {self.rooms[column].name}: {count}"
        x, y = self._x(column), self._y(row)
        return (
            f'  <g class="{kind}"><title>{html.escape(names)}</title>'
            f'<circle class="paper" cx="{x}" cy="{y}" r="14"/>'
            f'<circle class="dot" cx="{x}" cy="{y}" r="14" fill-opacity="{strength:.2f}"/>'
            f'<text x="{x}" y="{y + 4.5:g}" text-anchor="middle">{count}</text></g>'
        )

    def _box(self, row: int, room: Room) -> str:
        x, y, width = self._x(row), self._y(row), max(_BOX_WIDTH, 9 * len(room.name))
        return (
            f'  <g class="room"><rect x="{x - width / 2:g}" y="{y - _BOX_HEIGHT / 2:g}" width="{width}" '
            f'height="{_BOX_HEIGHT}" rx="7"/>'
            f'<text x="{x}" y="{y + 4.5:g}" text-anchor="middle">{html.escape(room.name)}</text></g>'
        )

    def _x(self, column: int) -> int:
        return _LEFT + _TEXT_WIDTH + _COLUMN * column + _COLUMN // 2

    def _y(self, row: int) -> int:
        return _TOP + _ROW * row + _ROW // 2


_STYLE = """  <style>
    .card { fill: #ffffff; stroke: #d0d7de }
    .title { font-size: 21px; font-weight: 600; fill: #1f2328 }
    .quiet { font-size: 14px; fill: #57606a } .parts { font-size: 13px; fill: #0969da }
    .leader { stroke: #d8dee4; stroke-dasharray: 1 5; stroke-linecap: round; stroke-width: 2 }
    .wire { stroke: #b6c4d6; stroke-width: 1.6 }
    .head { fill: #7d93b2 }
    .paper { fill: #ffffff }
    .dot { fill: #0969da; stroke: #0969da; stroke-opacity: .35 }
    .weak text, .strong text, .up text { font-size: 13px; font-weight: 600; font-variant-numeric: tabular-nums }
    .weak text { fill: #0a3069 } .strong text, .up text { fill: #ffffff }
    .up .dot { fill: #cf222e; stroke: #cf222e } .wire.up { stroke: #cf222e }
    .room rect { fill: #0a3069 } .room text { font-size: 14px; font-weight: 600; fill: #ffffff }
    @media (prefers-color-scheme: dark) {
      .card { fill: #0d1117; stroke: #30363d } .paper { fill: #0d1117 }
      .title { fill: #e6edf3 } .quiet { fill: #9198a1 } .parts { fill: #58a6ff } .leader { stroke: #262c34 }
      .wire { stroke: #344a66 } .head { fill: #5b7fae }
      .dot { fill: #1f6feb; stroke: #388bfd } .weak text { fill: #cae8ff }
      .room rect { fill: #cae8ff } .room text { fill: #0a3069 }
    }
  </style>"""

if __name__ == "__main__":
    (ROOT / "docs" / "architecture.svg").write_text(architecture_svg(), encoding="utf-8")
