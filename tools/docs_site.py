"""Let the documentation site show pages that lie outside of docs/, with links that work there and on a forge.

The pages link to each other by their paths in the repository. On the site a file of docs/ keeps its path below it,
any other file that a page links to appears below project/, and links are rewritten to match. README.md is the start
page of a forge, docs/index.md that of the site. mkdocs calls the functions of this module by their names.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

__all__ = ["on_config", "on_files", "on_page_markdown"]

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
CODE = re.compile(r"(```.*?```|~~~.*?~~~)", flags=re.DOTALL)
FIRST_PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "examples/README.md")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace each folder in the navigation by the pages in it."""
    config.nav = _with_folders(config.nav)
    return config


def _with_folders(entry: Any) -> Any:
    if isinstance(entry, str) and entry.endswith("/"):
        names = sorted(page.name for page in (ROOT / "docs" / entry).glob("*.md"))
        return [f"{entry}{name}" for name in sorted(names, key=lambda name: name != "README.md")]
    if isinstance(entry, list):
        return [_with_folders(item) for item in entry]
    return {name: _with_folders(item) for name, item in entry.items()} if isinstance(entry, dict) else entry


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside of docs/ that pages link to, directly or through each other."""
    waiting = [f"docs/{file.src_uri}" for file in files.documentation_pages()] + list(FIRST_PAGES)
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        if not path.startswith("docs/") and path != "README.md":
            files.append(File.generated(config, _on_site(path), abs_src_path=str(ROOT / path)))
        found = {target for target in _targets(path) if target not in seen}
        seen |= found
        waiting += sorted(found)
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite a page's links from paths in the repository to paths on the site."""
    here = page.file.src_uri
    path = here.removeprefix("project/") if here.startswith("project/") else f"docs/{here}"
    parts = CODE.split(markdown)
    return "".join(part if index % 2 else _rewritten(part, path) for index, part in enumerate(parts))


def _rewritten(text: str, path: str) -> str:
    def replace(match: re.Match[str]) -> str:
        target = _repository_path(match[2], path)
        if target is None:
            return match[0]
        return match[1] + posixpath.relpath(_on_site(target), posixpath.dirname(_on_site(path))) + match[3]

    return LINK.sub(replace, text)


def _targets(path: str) -> Iterator[str]:
    if path.endswith(".md"):
        for match in LINK.finditer(CODE.sub("", (ROOT / path).read_text(encoding="utf-8"))):
            target = _repository_path(match[2], path)
            if target is not None:
                yield target


def _repository_path(link: str, page: str) -> str | None:
    """The path in the repository of the file that a link leads to; a folder stands for its README."""
    if ":" in link:
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
    if (ROOT / path).is_dir():
        path = posixpath.join(path, "README.md")
    return path if (ROOT / path).is_file() else None


def _on_site(path: str) -> str:
    if path == "README.md":
        return "index.md"
    return path.removeprefix("docs/") if path.startswith("docs/") else f"project/{path}"
