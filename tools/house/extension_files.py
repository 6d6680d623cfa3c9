"""Files of the package that name one extension of each kind: what has to be touched to add another one like it.

Counted are files that hold the name as a string, a key or an attribute of its own. The words of a figure in a
language file count as one file a language.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

EXAMPLES = {
    "optimizer": "lion",
    "regularizer": "clip_value",
    "lr_shape": "poly",
    "searcher": "gp",
    "figure": "history",
}


def files_that_name(package: Path, name: str) -> list[str]:
    """Paths of the files that hold a quoted name or a key, relative to the package."""
    pattern = re.compile(rf"[\"'#]{name}[\"']|\.{name}\b(?= [%}}])|\b{name.upper()}\b")
    suffixes = {".py", ".json", ".js", ".html"}
    files = (
        path for path in sorted(package.rglob("*")) if path.suffix in suffixes and path.parent.name != "testing"
    )
    return [str(path.relative_to(package)) for path in files if pattern.search(_without_examples(path))]


def _without_examples(path: Path) -> str:
    """Text of a file without the lines of doctests."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith((">>>", "'")))


if __name__ == "__main__":
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "mbo_search"
    for kind, example in EXAMPLES.items():
        found = files_that_name(root, example)
        print(f"{kind:12s} {example:10s} {len(found)}  {', '.join(found)}")
