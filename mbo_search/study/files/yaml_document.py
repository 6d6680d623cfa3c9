"""YAML 1.2 as plain values that know where they stand. No schema: only what any study file must be.

Anchors, aliases, tags, duplicate keys and several documents are refused, and sizes are limited, so that a file is
exactly what one sees in it. Scalars follow the YAML 1.2 core schema: `off` and `yes` are words, not booleans.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

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
from mbo_search.study.checks.key_paths import child_path
from mbo_search.study.checks.written import plain_value

MAX_BYTES = 256 * 1024
"""Largest study file."""

_MAX_DEPTH = 20
_MAX_NODES = 5_000

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlDocument:
    """A document that was read.

    Attributes:
        value: The document; None if there is nothing that can be used.
        where: The file.
        wheres: `file:line:column` of each value, by dotted key path.
        key_wheres: The same of each key.
        problems: What is wrong with it as YAML.
        dropped: Key paths whose values could not be used and were left out.
        blank: Key paths behind which nothing is written, not even `null`.
    """

    value: Json
    where: str
    wheres: dict[str, str] = field(default_factory=dict)
    key_wheres: dict[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    dropped: frozenset[str] = frozenset()
    blank: frozenset[str] = frozenset()

    def placed(self, problem: Problem) -> Problem:
        """Add the place: of the key where a problem is about a key, else of the value or what should hold it."""
        path = problem.key
        if problem.value in (None, path.rpartition(".")[2]) and path in self.key_wheres:
            return replace(problem, where=self.key_wheres[path])
        while path and path not in self.wheres:
            path = path.rpartition(".")[0]
        return replace(problem, where=self.wheres.get(path, self.where))

    def is_dropped(self, key: str) -> bool:
        """Tell whether a key path lies at or below one that was left out, and so was reported already."""
        return any(key == path or key.startswith(f"{path}.") for path in self.dropped)


def read_document(text: str, where: str, path: str = "") -> YamlDocument:
    """Read one YAML document; key paths begin with `path`."""
    unreadable = _unreadable(text, where)
    if unreadable:
        return YamlDocument(value=None, where=where, problems=unreadable)
    reader = _Reader(where=where)
    value: Json = None
    try:
        value = reader.document(YAML(typ="safe", pure=True).parse(text), path)
    except _TooLargeError as error:
        reader.problems = [Problem(key=path, rule=str(error), where=where)]
    except MarkedYAMLError as error:
        reader.problems.append(_syntax_problem(error, where))
    except YAMLError as error:
        reader.problems = [Problem(key=path, rule=f"is not valid YAML: {error}", where=where)]
    return YamlDocument(
        value=value,
        where=where,
        wheres=reader.wheres,
        key_wheres=reader.key_wheres,
        problems=tuple(reader.problems),
        dropped=frozenset(reader.dropped),
        blank=frozenset(reader.blank),
    )


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
    rule = f"is not valid YAML: {error.problem or error.context or 'it cannot be read'}"
    hint = "a value that starts with a special character needs quotes; check brackets, colons and indentation"
    return Problem(key="", rule=rule, hint=hint, where=position)


class _TooLargeError(Exception):
    """The document is nested too deeply or holds too many values."""


class _Dropped:
    """Stands for a value that cannot be used."""


_DROPPED = _Dropped()


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Builds values from parser events, collecting positions and problems on the way."""

    where: str
    wheres: dict[str, str] = field(default_factory=dict)
    key_wheres: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    dropped: set[str] = field(default_factory=set)
    blank: set[str] = field(default_factory=set)
    num_nodes: int = 0

    def document(self, events: Iterator[Event], path: str) -> Json:
        roots: list[Json | _Dropped] = []
        num_documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                num_documents += 1
            elif isinstance(event, NodeEvent):
                roots.append(self.value(event, events, path, depth=0))
        if num_documents > 1:
            self.problem(path, f"holds {num_documents} YAML documents; a study file is one")
        root = roots[0] if roots else None
        return None if isinstance(root, _Dropped) else root

    def value(self, event: Event, events: Iterator[Event], path: str, depth: int) -> Json | _Dropped:
        """Build the value that an event begins."""
        self.num_nodes += 1
        if depth > _MAX_DEPTH:
            raise _TooLargeError(f"is nested deeper than {_MAX_DEPTH} levels, which no study file needs")
        if self.num_nodes > _MAX_NODES:
            raise _TooLargeError(f"holds more than {_MAX_NODES} values, which no study file needs")
        self.refuse_references(event, path)
        self.wheres.setdefault(path, self.position(event))
        if isinstance(event, MappingStartEvent):
            return self.mapping(events, path, depth)
        if isinstance(event, SequenceStartEvent):
            return self.sequence(events, path, depth)
        if isinstance(event, ScalarEvent):
            if not event.style and not event.value:
                self.blank.add(path)
            return event.value if event.style else plain_value(event.value)
        self.dropped.add(path)
        return _DROPPED

    def refuse_references(self, event: Event, path: str) -> None:
        if isinstance(event, AliasEvent):
            rule, hint = f"is an alias (*{event.anchor}); aliases are not read", _DEFAULTS_HINT
        elif isinstance(event, NodeEvent) and event.anchor:
            rule, hint = f"has an anchor (&{event.anchor}); anchors are not read", _DEFAULTS_HINT
        elif tag := _tag(event):
            rule, hint = f"has a tag ({tag}); tags are not read", "write the value itself"
        else:
            return
        self.problem(path, rule, hint=hint, event=event)

    def mapping(self, events: Iterator[Event], path: str, depth: int) -> dict[str, Json]:
        entries: dict[str, Json] = {}
        for event in events:
            if isinstance(event, MappingEndEvent):
                break
            key = self.key(event, events, path, depth)
            key_path = child_path(path, key)
            value = self.value(next(events), events, key_path, depth + 1)
            if key in entries:
                rule = f"appears twice; the first one is at {self.key_wheres[key_path]}"
                self.problem(key_path, rule, event=event)
            elif not isinstance(value, _Dropped):
                entries[key] = value
                self.key_wheres[key_path] = self.position(event)
        return entries

    def key(self, event: Event, events: Iterator[Event], path: str, depth: int) -> str:
        if isinstance(event, ScalarEvent):
            self.num_nodes += 1
            self.refuse_references(event, path)
            return str(event.value)
        self.value(event, events, child_path(path, "?"), depth + 1)
        self.problem(path, "has a key that is not a name", event=event)
        return "?"

    def sequence(self, events: Iterator[Event], path: str, depth: int) -> list[Json]:
        items: list[Json] = []
        for event in events:
            if isinstance(event, SequenceEndEvent):
                break
            item = self.value(event, events, child_path(path, len(items)), depth + 1)
            if isinstance(item, _Dropped):
                self.dropped.add(path)  # later items have other positions now
            else:
                items.append(item)
        return items

    def position(self, event: Event) -> str:
        mark = event.start_mark
        return f"{self.where}:{mark.line + 1}:{mark.column + 1}" if mark else self.where

    def problem(self, path: str, rule: str, *, hint: str = "", event: Event | None = None) -> None:
        where = self.position(event) if event is not None else self.where
        self.problems.append(Problem(key=path, rule=rule, hint=hint, where=where))


_DEFAULTS_HINT = "settings that several stages share belong into stage_defaults"


def _tag(event: Event) -> str:
    if isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent) and event.tag is not None:
        return str(event.tag).replace("tag:yaml.org,2002:", "!!")
    return ""
