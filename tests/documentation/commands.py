"""The commands that the pages show, in their order: blocks as they would be pasted, and those in running text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    *sorted(path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"),
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / folder / "README.md" for folder in ("benchmarks", "examples", "reports")),
    ROOT / "studies" / "LOG.md",
)
_PROGRAMS = ("mbo-search ", "make ", "python ", ".venv/bin/python ", "pip ")
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_STUDY = re.compile(r"study: ([\w-]+)\n")
_FILE = re.compile(r"# (\w+\.\w+)\n")
_PLACEHOLDERS = ("my-study.yaml", "study.yaml")
"""Studies of the pages that the tests have under these names already."""

_INDENTED = re.compile(r"(?:^    .+\n)+", re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Command:
    """A command that a page shows."""

    page: Path
    text: str

    @property
    def words(self) -> list[str]:
        """Its words as a shell splits them, comments left out."""
        return shlex.split(self.text, comments=True)

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.text}"


def documented_commands(page: Path) -> list[Command]:
    """All commands of a page, each once, in the order of the page."""
    text = page.read_text(encoding="utf-8")
    found = sorted((*_in_blocks(text), *_in_words(text)))
    return [Command(page, command) for command in dict.fromkeys(command for _, command in found)]


def named_files(page: Path) -> dict[str, str]:
    """Files that a page shows whole: studies by their names, others by a first comment such as `# model.py`."""
    blocks = [(match[1], match[2]) for match in _FENCED.finditer(page.read_text(encoding="utf-8"))]
    studies = {f"{name[1]}.yaml": text for kind, text in blocks if kind == "yaml" and (name := _STUDY.match(text))}
    others = {name[1]: text for _, text in blocks if (name := _FILE.match(text))}
    return {name: text for name, text in {**studies, **others}.items() if name not in _PLACEHOLDERS}


def _in_blocks(text: str) -> Iterator[tuple[int, str]]:
    blocks = [(match.start(), match[2]) for match in _FENCED.finditer(text) if match[1] in ("", "sh", "bash")]
    bare = _FENCED.sub(lambda match: "\n" * len(match[0]), text)
    blocks += [(match.start(), match[0]) for match in _INDENTED.finditer(bare)]
    for start, block in blocks:
        for number, line in enumerate(block.replace("\\\n", " ").splitlines()):
            if line.strip().startswith(_PROGRAMS):
                yield start + number, shlex.join(shlex.split(line, comments=True))


def _in_words(text: str) -> Iterator[tuple[int, str]]:
    bare = _FENCED.sub(lambda match: "\n" * len(match[0]), text)
    for match in _INLINE.finditer(bare):
        if match[1].startswith(_PROGRAMS):
            yield match.start(), match[1]
