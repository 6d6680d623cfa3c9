"""Proves that one word has one meaning: class names are unique, and the words that were given up stay away."""

from __future__ import annotations

import ast
import collections
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mbo_search"
MODULES = sorted(PACKAGE.rglob("*.py"))
PROSE = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *PACKAGE.rglob("*.py"),
        *PACKAGE.rglob("en.json"),
        *PACKAGE.rglob("*.html"),
    ]
)

RETIRED_CLASSES = [
    "Director",
    "Drafter",
    "StudyBook",
    "RunMemory",
    "Workplace",
    "StretchCall",
    "FinalExam",
    "StopBoard",
    "BoardWatch",
    "OptunaArm",
    "TreeMemory",
    "Swaps",
]
"""Names that the field has another word for."""

RETIRED_PHRASES = {
    "for ever": "forever",
    "processors": "CPUs, cores",
    "handed out": "exported, reported",
    "hands out": "exports, reports",
    "to mend": "to fix",
    "goes on with": "continues with",
    "tell of": "report",
    "cache hits": "stages reused",
    "slots busy": "workers busy",
    "stage ends found": "stages reused",
    "Not ranked": "Tried",
}
"""Phrases with what is said instead."""


def test_a_public_class_name_exists_once():
    homes = collections.defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(str(path.relative_to(ROOT)))
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


@pytest.mark.parametrize("name", RETIRED_CLASSES)
def test_retired_names_stay_away(name):
    found = [str(path.relative_to(ROOT)) for path in MODULES if re.search(rf"\b{name}\b", path.read_text("utf-8"))]
    assert found == []


@pytest.mark.parametrize("phrase", RETIRED_PHRASES)
def test_retired_phrases_stay_away(phrase):
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in PROSE
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(rf"\b{phrase}\b", line)
    ]
    assert found == [], f"say {RETIRED_PHRASES[phrase]}"


def test_every_word_of_the_glossary_stands_once():
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", (ROOT / "docs" / "glossary.md").read_text("utf-8"), re.MULTILINE)
    words = [word.strip() for row in rows[2:] for word in row.split(",")]
    assert [word for word, count in collections.Counter(words).items() if count > 1] == []
