"""Blocks of parameters: which weights a stage trains.

An expression joins blocks with `+`: `all`, `embeddings`, `attention`, `mlp`, `norms`, `layers:A-B` (A and B
included, from 0), `lora`. `embeddings` is everything outside the layers but the norms: the embeddings and the
output matrix, tied or not; `norms` are the norms within the layers and the last one; `layers:A-B` is everything
within those layers, norms and adapters included; `lora` are the adapters beside weights. Blocks are told by the
names that parameters have in `transformers`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from torch import nn

from mbo_search.errors import Problem, StudyError
from mbo_search.study.spec.schedule import BLOCK_KINDS, LORA

_RULE = "must be `all`, or blocks joined by `+` from embeddings, attention, mlp, norms, layers:A-B, lora"
_KINDS = (*BLOCK_KINDS, LORA)
_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")
_NORM = re.compile(r"norm|(?:^|[._])ln(?:[._]|$)", re.IGNORECASE)
_ATTENTION = re.compile(r"\.(?:\w+_)?(?:attn|attention)\.", re.IGNORECASE)
_ADAPTER = re.compile(r"\.lora_[AB]\.")
_LAYER_RANGE = re.compile(r"layers:(\d+)-(\d+)")


def block_of(name: str) -> str:
    """The kind of block that a parameter belongs to.

    Args:
        name: Its name in the model.

    Returns:
        `embeddings`, `attention`, `mlp`, `norms` or `lora`.

    >>> block_of("model.layers.3.self_attn.q_proj.weight"), block_of("lm_head.weight")
    ('attention', 'embeddings')
    >>> block_of("transformer.h.0.ln_1.weight"), block_of("transformer.h.0.mlp.c_fc.weight")
    ('norms', 'mlp')
    """
    if _ADAPTER.search(name):
        return LORA
    if _NORM.search(name):
        return "norms"
    if layer_of(name) is None:
        return "embeddings"
    return "attention" if _ATTENTION.search(name) else "mlp"


def layer_of(name: str) -> int | None:
    """The layer that a parameter belongs to; None for embeddings, head and last norm.

    >>> layer_of("model.layers.3.self_attn.q_proj.weight"), layer_of("model.norm.weight")
    (3, None)
    """
    match = _LAYER.search(name)
    return int(match[1]) if match else None


def layers_above(model: nn.Module) -> dict[str, int]:
    """Count the layers between each parameter and the output of a model.

    The embeddings and all else that comes before the first layer lie below all layers; the last norm and an output
    matrix of its own lie above them. A tied output matrix is the embedding, below all layers.
    """
    names = [name for name, _ in model.named_parameters()]
    num_layers = max(_layers(names), default=-1) + 1
    found: dict[str, int] = {}
    outside = num_layers
    for name in names:
        layer = layer_of(name)
        outside = outside if layer is None else 0
        found[name] = outside if layer is None else num_layers - 1 - layer
    return found


def trainable_names(model: nn.Module, expression: str) -> frozenset[str]:
    """The parameters that an expression names.

    Args:
        model: The model; a parameter under two names counts under its first one.
        expression: Blocks joined by `+`.

    Returns:
        At least one name from `model.named_parameters()`.

    Raises:
        StudyError: If a block is unknown, or one names no parameter of this model.
    """
    names = [name for name, _ in model.named_parameters()]
    found: frozenset[str] = frozenset()
    problems = []
    for block in (part.strip() for part in expression.split("+")):
        members = _members(names, block)
        found |= members
        if not members:
            hint = f"this model has layers 0 to {max(_layers(names), default=0)}" if ":" in block else ""
            problems.append(Problem(key="trainable", value=block, rule=_RULE, hint=hint))
    if problems:
        raise StudyError(problems)
    return found


def set_trainable(model: nn.Module, names: frozenset[str]) -> None:
    """Let exactly these parameters learn; the gradients of all others are dropped."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
        if name not in names:
            parameter.grad = None


def _members(names: Iterable[str], block: str) -> frozenset[str]:
    belongs = _test_of(block)
    return frozenset(name for name in names if belongs(name))


def _test_of(block: str) -> Callable[[str], bool]:
    match = _LAYER_RANGE.fullmatch(block)
    if match:
        low, high = int(match[1]), int(match[2])
        return lambda name: (layer := layer_of(name)) is not None and low <= layer <= high
    if block == "all":
        return lambda name: True
    return lambda name: block in _KINDS and block_of(name) == block


def _layers(names: Iterable[str]) -> set[int]:
    return {layer for name in names if (layer := layer_of(name)) is not None}
