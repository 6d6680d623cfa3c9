"""Values as source text, laid out as `ruff format` lays them out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

_WIDTH = 88
_INDENT = 4


def literal(value: object, *, indent: int = 0, taken: int = 0) -> str:
    """A value as source text.

    Args:
        value: Numbers, texts, None, and mappings and lists of them.
        indent: Columns before the line on which it starts.
        taken: Columns of that line that are taken by other text.

    >>> literal({"lr": 0.001, "blocks": ["mlp", 0]})
    '{"lr": 0.001, "blocks": ["mlp", 0]}'
    """
    short = _short(value)
    if indent + taken + len(short) <= _WIDTH or not isinstance(value, Mapping | list | tuple):
        return short
    return expanded(value, indent=indent)


def expanded(value: object, *, indent: int = 0) -> str:
    """A mapping or list with a line for each of its items."""
    inner = indent + _INDENT
    if isinstance(value, Mapping):
        items = [(f"{_short(key)}: ", item) for key, item in value.items()]
        opening, closing = "{", "}"
    else:
        assert isinstance(value, Sequence)
        items = [("", item) for item in value]
        opening, closing = "[", "]"
    lines = [f"{' ' * inner}{head}{literal(item, indent=inner, taken=len(head) + 1)}," for head, item in items]
    return "\n".join([opening, *lines, f"{' ' * indent}{closing}"])


def _short(value: object) -> str:
    """A value on one line."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_short(key)}: {_short(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_short(item) for item in value)}]"
    return repr(value)
