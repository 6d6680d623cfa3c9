"""The text of a page in wikitext: what a reader sees, without templates, tables, footnotes and pictures."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from mbo_search.errors import DataError, Problem

UNSEEN_NAMESPACES = frozenset({"file", "image", "category"})
"""Links to these show a picture or nothing; wikis in other languages have names of their own besides."""

_UNSEEN_TAGS = frozenset(
    {
        "gallery", "graph", "imagemap", "indicator", "mapframe", "math", "ref", "references", "score", "script",
        "style", "table", "templatestyles", "timeline",
    }
)  # fmt: skip
_OTHER_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*:")
_SWITCHES = re.compile("__[A-Z]+__")
_BLANK_LINES = re.compile(r"\n{3,}")


def wikitext_parser() -> Any:
    """Import the library that parses wikitext.

    Raises:
        DataError: If it is not installed.
    """
    try:
        import mwparserfromhell
    except ImportError as error:
        rule = "holds a dump of a wiki, which needs the package `mwparserfromhell`"
        hint = "install it with `pip install 'mbo-search[corpora]'`"
        raise DataError([Problem(key="data.source", rule=rule, hint=hint)]) from error
    return mwparserfromhell


def plain_text(wikitext: str, unseen_namespaces: Collection[str] = UNSEEN_NAMESPACES) -> str:
    """Take the text out of a page.

    >>> plain_text("'''Ships''' are [[vessel|vessels]].<ref>A book</ref>{{Stub}}\\n== History ==\\n* One")
    'Ships are vessels.\\nHistory\\nOne'
    """
    text = _SWITCHES.sub("", _shown(wikitext_parser().parse(wikitext), unseen_namespaces))
    lines = (
        line.rstrip().removeprefix(" ") for line in text.split("\n")
    )  # a space behind a bullet or before a title
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip("\n")


def _shown(code: Any, unseen_namespaces: Collection[str]) -> str:
    """Text of nodes. The library's own `strip_code` keeps footnotes, cells and the settings of pictures."""
    if code is None:
        return ""
    return "".join(_shown_node(node, unseen_namespaces) for node in code.nodes)


def _shown_node(node: Any, unseen_namespaces: Collection[str]) -> str:
    kinds = wikitext_parser().nodes
    if isinstance(node, kinds.Text):
        return str(node.value)
    if isinstance(node, kinds.Wikilink):
        return "" if _is_unseen(node, unseen_namespaces) else _shown(node.text or node.title, unseen_namespaces)
    if isinstance(node, kinds.Tag):
        return _shown_tag(node, unseen_namespaces)
    if isinstance(node, kinds.Heading):
        return _shown(node.title, unseen_namespaces)
    if isinstance(node, kinds.ExternalLink):
        return _shown(node.title if node.brackets else node.url, unseen_namespaces)
    return str(node.normalize()) if isinstance(node, kinds.HTMLEntity) else ""


def _shown_tag(tag: Any, unseen_namespaces: Collection[str]) -> str:
    name = str(tag.tag).strip().lower()
    if name == "br":
        return "\n"
    return "" if name in _UNSEEN_TAGS else _shown(tag.contents, unseen_namespaces)


def _is_unseen(link: Any, unseen_namespaces: Collection[str]) -> bool:
    """Return whether a link shows no text: a picture, a category, or the same page in another language."""
    title = str(link.title).strip()
    namespace, colon, _ = title.partition(":")
    return bool(colon) and (
        namespace.strip().lower() in unseen_namespaces
        or (link.text is None and _OTHER_LANGUAGE.match(title) is not None)
    )
