"""YAML 1.2 as a tree that remembers where every value stands. No schema: only what any study file must be.

Anchors, aliases, tags, duplicate keys and several documents are refused, and sizes are limited, so that a file is
exactly what one sees in it. Scalars follow the YAML 1.2 core schema: `off` and `yes` are words, not booleans.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from mbo_search.errors import Problem

MAX_BYTES = 256 * 1024
"""Largest study file."""

_MAX_DEPTH = 20
_MAX_NODES = 5_000

ScalarValue = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarNode:
    """A single value.

    Attributes:
        value: Its meaning.
        text: How it is written.
        where: `file:line:column`.
        path: Dotted key path.
    """

    value: ScalarValue
    text: str
    where: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNode:
    """A list.

    Attributes:
        items: Its values.
        where: `file:line:column`.
        path: Dotted key path.
    """

    items: tuple[Node, ...]
    where: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNode:
    """A mapping.

    Attributes:
        entries: Its values by key.
        key_wheres: Where each key stands.
        where: `file:line:column`.
        path: Dotted key path.
    """

    entries: dict[str, Node]
    key_wheres: dict[str, str]
    where: str
    path: str


Node = ScalarNode | ListNode | MapNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What was read.

    Attributes:
        root: The document; None if there is none that can be used.
        problems: What is wrong with it as YAML.
        dropped: Key paths whose values could not be used and were left out.
    """

    root: Node | None
    problems: tuple[Problem, ...]
    dropped: frozenset[str] = frozenset()


def read_tree(text: str, where: str, path: str = "") -> Tree:
    """Read one YAML document."""
    unreadable = _unreadable(text, where)
    if unreadable:
        return Tree(root=None, problems=unreadable)
    reader = _Reader(where=where)
    try:
        root = reader.document(_events(text), path)
    except _TooLargeError as error:
        return Tree(root=None, problems=(Problem(key=path, rule=str(error), where=where),))
    except MarkedYAMLError as error:
        return Tree(root=None, problems=(*reader.problems, _syntax_problem(error, where)))
    except YAMLError as error:
        return Tree(root=None, problems=(Problem(key=path, rule=f"is no YAML: {error}", where=where),))
    return Tree(root=root, problems=tuple(reader.problems), dropped=frozenset(reader.dropped))


def child_path(path: str, key: str | int) -> str:
    """Key path of a value in a mapping or list."""
    return f"{path}.{key}" if path else str(key)


def shown(node: Node) -> str:
    """A value as it is written, cut to one short line."""
    text = _flow_text(node)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _flow_text(node: Node) -> str:
    if isinstance(node, ScalarNode):
        looks_different = isinstance(node.value, str) and not isinstance(plain_value(node.text), str)
        return f'"{node.text}"' if looks_different else node.text
    if isinstance(node, ListNode):
        return f"[{', '.join(_flow_text(item) for item in node.items)}]"
    return f"{{{', '.join(f'{key}: {_flow_text(value)}' for key, value in node.entries.items())}}}"


def _unreadable(text: str, where: str) -> tuple[Problem, ...]:
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        rule = f"is larger than {MAX_BYTES // 1024} KiB, which no study file needs"
        return (Problem(key="", rule=rule, where=where),)
    lines = text.split("\n")
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        indent = line[: len(line) - len(line.lstrip(" \t"))]
        if "\x00" in line:
            position = f"{where}:{number}:{line.index(chr(0)) + 1}"
            problems.append(Problem(key="", rule="holds a NUL byte; a study file is plain text", where=position))
        if "\t" in indent and line.strip():
            position = f"{where}:{number}:{indent.index(chr(9)) + 1}"
            problems.append(Problem(key="", rule="is indented with a tab; use spaces", where=position))
    return tuple(problems)


def _syntax_problem(error: MarkedYAMLError, where: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    position = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
    rule = f"is no YAML: {error.problem or error.context or 'it cannot be read'}"
    hint = "a value that starts with a special character needs quotes; check brackets, colons and indentation"
    return Problem(key="", rule=rule, hint=hint, where=position)


def _events(text: str) -> Iterator[Event]:
    events: Iterator[Event] = YAML(typ="safe", pure=True).parse(text)
    return events


class _TooLargeError(Exception):
    """The document is nested too deeply or holds too many values."""


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Builds nodes from parser events, collecting problems on the way."""

    where: str
    problems: list[Problem] = field(default_factory=list)
    dropped: set[str] = field(default_factory=set)
    num_nodes: int = 0

    def document(self, events: Iterator[Event], path: str) -> Node | None:
        root: Node | None = None
        num_documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                num_documents += 1
            elif isinstance(event, NodeEvent):
                node = self.node(event, events, path, depth=0)
                root = node if num_documents == 1 else root
        if num_documents > 1:
            self.problem(path, f"holds {num_documents} YAML documents; a study file is one")
        return root

    def node(self, event: Event, events: Iterator[Event], path: str, depth: int) -> Node | None:
        """Build the value that an event begins; None for one that cannot be used."""
        self.num_nodes += 1
        if depth > _MAX_DEPTH:
            raise _TooLargeError(f"is nested deeper than {_MAX_DEPTH} levels, which no study file needs")
        if self.num_nodes > _MAX_NODES:
            raise _TooLargeError(f"holds more than {_MAX_NODES} values, which no study file needs")
        self.refuse_references(event, path)
        if isinstance(event, MappingStartEvent):
            return self.mapping(event, events, path, depth)
        if isinstance(event, SequenceStartEvent):
            return self.sequence(event, events, path, depth)
        if isinstance(event, ScalarEvent):
            return self.scalar(event, path)
        self.dropped.add(path)
        return None

    def refuse_references(self, event: Event, path: str) -> None:
        if isinstance(event, AliasEvent):
            rule, hint = f"is an alias (*{event.anchor}); aliases are not read", _DEFAULTS_HINT
        elif isinstance(event, NodeEvent) and event.anchor:
            rule, hint = f"has an anchor (&{event.anchor}); anchors are not read", _DEFAULTS_HINT
        elif _has_tag(event):
            rule, hint = f"has a tag ({_short_tag(event)}); tags are not read", "write the value itself"
        else:
            return
        self.problem(path, rule, hint=hint, event=event)

    def mapping(self, event: MappingStartEvent, events: Iterator[Event], path: str, depth: int) -> MapNode:
        entries: dict[str, Node] = {}
        key_wheres: dict[str, str] = {}
        for key_event in events:
            if isinstance(key_event, MappingEndEvent):
                break
            key = self.key(key_event, events, path, depth)
            value = self.node(next(events), events, child_path(path, key), depth + 1)
            if key in entries:
                rule = f"appears twice; the first one is at {key_wheres[key]}"
                self.problem(child_path(path, key), rule, event=key_event)
            elif value is not None:
                entries[key] = value
                key_wheres[key] = self.position(key_event)
        return MapNode(entries=entries, key_wheres=key_wheres, where=self.position(event), path=path)

    def key(self, event: Event, events: Iterator[Event], path: str, depth: int) -> str:
        node = self.node(event, events, path, depth + 1)
        if isinstance(node, ScalarNode):
            return node.text
        self.problem(path, "has a key that is no name", event=event)
        return "?"

    def sequence(self, event: SequenceStartEvent, events: Iterator[Event], path: str, depth: int) -> ListNode:
        items: list[Node] = []
        for index, item_event in enumerate(events):
            if isinstance(item_event, SequenceEndEvent):
                break
            item = self.node(item_event, events, child_path(path, index), depth + 1)
            if item is not None:
                items.append(item)
        return ListNode(items=tuple(items), where=self.position(event), path=path)

    def scalar(self, event: ScalarEvent, path: str) -> ScalarNode:
        is_plain = event.style is None or event.style == ""
        value = plain_value(event.value) if is_plain else event.value
        return ScalarNode(value=value, text=event.value, where=self.position(event), path=path)

    def position(self, event: Event) -> str:
        mark = event.start_mark
        return f"{self.where}:{mark.line + 1}:{mark.column + 1}" if mark else self.where

    def problem(self, path: str, rule: str, *, hint: str = "", event: Event | None = None) -> None:
        where = self.position(event) if event is not None else self.where
        self.problems.append(Problem(key=path, rule=rule, hint=hint, where=where))


_DEFAULTS_HINT = "settings that several stages share belong into stage_defaults"


def _has_tag(event: Event) -> bool:
    if isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent):
        return event.tag is not None
    return False


def _short_tag(event: Event) -> str:
    tag = str(event.tag) if isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent) else ""
    return tag.replace("tag:yaml.org,2002:", "!!")


_NULL = re.compile(r"null|Null|NULL|~|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def plain_value(text: str) -> ScalarValue:
    """What a scalar without quotes means in the core schema of YAML 1.2, octal and hexadecimal numbers aside.

    >>> plain_value("3"), plain_value("1e-4"), plain_value("off"), plain_value("~")
    (3, 0.0001, 'off', None)
    """
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return bool(_TRUE.fullmatch(text))
    if _INT.fullmatch(text) and len(text) < 400:
        return int(text)
    if _FLOAT.fullmatch(text) or _INFINITE.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
