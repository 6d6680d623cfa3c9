"""`--set key.path=value`: replacing single settings of a study file before it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mbo_search.errors import Problem
from mbo_search.study.files.yaml_tree import ListNode, MapNode, Node, child_path, read_tree

OVERRIDE = "--set"
"""Where a setting from the command line stands."""


def with_overrides(root: MapNode, overrides: Sequence[str]) -> tuple[MapNode, tuple[Problem, ...]]:
    """Replace settings in a tree."""
    problems: list[Problem] = []
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator or not all(key.split(".")):
            rule = "must have the form key.path=value"
            problems.append(Problem(key="", value=override, rule=rule, where=OVERRIDE))
            continue
        where = f"{OVERRIDE} {key}"
        tree = read_tree(value, where, key)
        problems += [replace(problem, where=where) for problem in tree.problems]
        if tree.root is None:
            continue
        placed = _placed(root, key.split("."), _at(tree.root, where))
        if isinstance(placed, Problem):
            problems.append(replace(placed, where=where))
        elif isinstance(placed, MapNode):
            root = placed
    return root, tuple(problems)


def _at(node: Node, where: str) -> Node:
    """The value with the command line as its only position."""
    if isinstance(node, MapNode):
        entries = {key: _at(value, where) for key, value in node.entries.items()}
        return replace(node, entries=entries, key_wheres=dict.fromkeys(entries, where), where=where)
    if isinstance(node, ListNode):
        return replace(node, items=tuple(_at(item, where) for item in node.items), where=where)
    return replace(node, where=where)


def _placed(node: Node, keys: list[str], value: Node) -> Node | Problem:
    """The tree with a value at a key path."""
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    path = child_path(node.path, key)
    if isinstance(node, ListNode):
        return _placed_in_list(node, key, rest, value)
    if not isinstance(node, MapNode):
        return Problem(
            key=path, rule=f"cannot be set, because {node.path} is a single value; set {node.path} whole"
        )
    below = node.entries.get(key, MapNode(entries={}, key_wheres={}, where=value.where, path=path))
    child = _placed(below, rest, value)
    if isinstance(child, Problem):
        return child
    wheres = {**node.key_wheres, key: node.key_wheres.get(key, value.where)}
    return replace(node, entries={**node.entries, key: child}, key_wheres=wheres)


def _placed_in_list(node: ListNode, key: str, rest: list[str], value: Node) -> Node | Problem:
    path = child_path(node.path, key)
    if not key.isdigit() or int(key) >= len(node.items):
        last = len(node.items) - 1
        return Problem(key=path, rule=f"is no position in the list {node.path}; positions are 0 to {last}")
    index = int(key)
    child = _placed(node.items[index], rest, value)
    if isinstance(child, Problem):
        return child
    return replace(node, items=(*node.items[:index], child, *node.items[index + 1 :]))
