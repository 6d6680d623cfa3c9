"""Finding the place in a file that a key path of a description stands for."""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.study.files.yaml_tree import ListNode, MapNode, Node

Loc = tuple[str | int, ...]
"""A key path in pieces."""


def loc_of(path: str) -> Loc:
    """Cut a dotted key path into pieces; numbers are positions in lists.

    >>> loc_of("stages.0.lr")
    ('stages', 0, 'lr')
    """
    return tuple(int(part) if part.isdigit() else part for part in path.split(".")) if path else ()


def find(root: Node, loc: Sequence[str | int]) -> tuple[Node, Loc]:
    """The deepest node along a key path."""
    node: Node = root
    reached: Loc = ()
    for piece in loc:
        child = _child(node, piece)
        if child is not None:
            node, reached = child, (*reached, piece)
    return node, reached


def _child(node: Node, piece: str | int) -> Node | None:
    if isinstance(node, MapNode):
        return node.entries.get(str(piece))
    if isinstance(node, ListNode) and isinstance(piece, int) and 0 <= piece < len(node.items):
        return node.items[piece]
    return None
