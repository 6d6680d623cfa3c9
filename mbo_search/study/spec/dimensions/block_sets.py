"""Sets of parameters that expressions such as `attention+layers:0-3` name, compared without a model.

A model's parameters differ by kind and layer; a set is described by the kinds that it holds, and for each by the
layers. Two expressions that name the same parameters of every model have equal descriptions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

_LAYERS = re.compile(r"layers:(\d{1,9})-(\d{1,9})")

_OUTSIDE = ("embeddings", "lora", "norms")
"""Kinds of blocks with parameters outside the layers."""

_INSIDE = ("attention", "lora", "mlp", "norms")
"""Kinds with parameters in layers."""

BlockSet = tuple[str, ...]
"""A set of parameters, each part of it once: `norms` are those outside the layers, `norms:2-3` those of layers 2 to
3, `norms:4-` those from layer 4 on."""

Holds = Callable[[str, int | None], bool]
"""Whether the parameters of a kind in a layer, or outside all layers, belong to a set."""


def names_cell(expression: str, kind: str, layer: int | None) -> bool:
    """Whether blocks joined by `+` name the parameters of a kind in a layer, None for those outside the layers.

    >>> names_cell("mlp+layers:0-1", "norms", 1), names_cell("mlp+layers:0-1", "norms", None)
    (True, False)
    """
    return any(
        block in ("all", kind) or (layer is not None and layer in _range(block)) for block in _blocks(expression)
    )


def described(holds: Holds, expressions: Iterable[str]) -> BlockSet:
    """Describe a set that is made of expressions.

    Args:
        holds: Whether it holds a kind of a layer; it may change only where one of the expressions does.
        expressions: All that it is made of.

    >>> layers = "layers:0-1+layers:2-3"
    >>> described(lambda kind, layer: names_cell(layers, kind, layer), [layers])
    ('attention:0-3', 'lora:0-3', 'mlp:0-3', 'norms:0-3')
    """
    ranges = [_range(block) for expression in expressions for block in _blocks(expression)]
    edges = sorted({0, *(found.start for found in ranges), *(found.stop for found in ranges)})
    outside = [kind for kind in _OUTSIDE if holds(kind, None)]
    return (*outside, *(text for kind in _INSIDE for text in _inside(kind, holds, edges)))


def meet(one: str, other: str) -> bool:
    """Whether two expressions name a parameter that both have.

    >>> meet("layers:0-1", "mlp"), meet("layers:0-1", "embeddings")
    (True, False)
    """
    return bool(
        described(lambda kind, layer: names_cell(one, kind, layer) and names_cell(other, kind, layer), (one, other))
    )


def _inside(kind: str, holds: Holds, edges: list[int]) -> Iterator[str]:
    """Ranges of layers, without those that only look divided."""
    first: int | None = None
    for edge in edges:
        if holds(kind, edge) and first is None:
            first = edge
        elif not holds(kind, edge) and first is not None:
            yield f"{kind}:{first}-{edge - 1}"
            first = None
    if first is not None:
        yield f"{kind}:{first}-"


def _blocks(expression: str) -> list[str]:
    return [block.strip() for block in expression.split("+")]


def _range(block: str) -> range:
    """Layers of a block that names layers; none of any other."""
    match = _LAYERS.fullmatch(block)
    return range(int(match[1]), int(match[2]) + 1) if match else range(0)
