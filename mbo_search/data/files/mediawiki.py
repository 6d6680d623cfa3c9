"""Articles in a dump of a MediaWiki, such as those of Wikipedia, one at a time."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast
from xml.etree import ElementTree

from mbo_search.data.document import Document
from mbo_search.data.files.decoding import file_problem
from mbo_search.data.files.suffixes import open_bytes
from mbo_search.data.files.walk import shown
from mbo_search.data.files.wikitext import UNSEEN_NAMESPACES, plain_text, wikitext_parser

_LOOKED_AT_BYTES = 1 << 16
DUMP_ROOT = "mediawiki"
"""Outermost element of a dump."""

_ARTICLES = "0"
_PICTURES_AND_CATEGORIES = ("6", "14")


@dataclass(slots=True)
class _Namespaces:
    """The names that a wiki gives in its own language.

    Attributes:
        others: In lower case, all but that of articles, which is empty.
        unseen: In lower case, those of pictures and categories, the English ones included.
    """

    others: set[str] = field(default_factory=set)
    unseen: set[str] = field(default_factory=lambda: set(UNSEEN_NAMESPACES))

    def add(self, key: str | None, name: str) -> None:
        """Take in one namespace."""
        if key != _ARTICLES:
            self.others.add(name.lower())
        if key in _PICTURES_AND_CATEGORIES:
            self.unseen.add(name.lower())


def read_mediawiki(file: Path, text_field: str) -> Iterator[Document]:
    """Read a document an article: no redirects, no discussions, no other namespaces.

    Only one page is held in memory. Of a page with its history the newest revision is read.
    """
    wikitext_parser()
    with open_bytes(file) as content:
        try:
            yield from _documents(content, file)
        except ElementTree.ParseError as error:
            hint = "it is probably not whole; get it again, or unpack it"
            raise file_problem(f"{shown(file)}:{error.position[0]}", f"is not sound XML: {error}", hint) from error


def root_name(file: Path) -> str:
    """Name of the outermost element of an XML file; empty if it begins with no element.

    A damaged file counts as a dump, so that reading it says what is wrong.
    """
    parser: ElementTree.XMLPullParser[Any] = ElementTree.XMLPullParser(events=("start",))
    try:
        with open_bytes(file) as content:
            parser.feed(content.read(_LOOKED_AT_BYTES))
        return next((_name(element) for _, element in cast(Iterable[Any], parser.read_events())), "")
    except ElementTree.ParseError:
        return ""
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        return DUMP_ROOT


def _documents(content: BinaryIO, file: Path) -> Iterator[Document]:
    events = ElementTree.iterparse(content, events=("start", "end"))
    _, root = next(events)
    if _name(root) != DUMP_ROOT:
        raise file_problem(shown(file), f"is not a dump of a MediaWiki: it begins with <{_name(root)}>")
    namespaces = _Namespaces()
    newest = ""
    for event, element in events:
        if event == "start":
            continue
        name = _name(element)
        if name == "namespace" and element.text:
            namespaces.add(element.get("key"), element.text)
        elif name == "revision":
            newest = _wikitext(element)
            element.clear()
        elif name == "page":
            title = _child(element, "title")
            if _is_article(element, title, newest, namespaces):
                yield Document(name=f"{shown(file)}:{title}", text=plain_text(newest, namespaces.unseen))
            newest = ""
            root.clear()


def _is_article(page: Any, title: str, text: str, namespaces: _Namespaces) -> bool:
    namespace = _child(page, "ns")
    if namespace:
        is_elsewhere = namespace != _ARTICLES
    else:  # dumps of before 2012 do not number namespaces
        is_elsewhere = ":" in title and title.partition(":")[0].lower() in namespaces.others
    is_redirect = any(_name(child) == "redirect" for child in page) or text.lstrip()[:9].lower() == "#redirect"
    return bool(text) and not is_elsewhere and not is_redirect


def _wikitext(revision: Any) -> str:
    """Text of a revision; empty if it is data or a program instead."""
    return _child(revision, "text") if _child(revision, "model") in ("", "wikitext") else ""


def _child(element: Any, name: str) -> str:
    return next((child.text or "" for child in element if _name(child) == name), "")


def _name(element: Any) -> str:
    """Name of an element without the namespace, which differs between versions of the format."""
    return str(element.tag).rpartition("}")[2]
