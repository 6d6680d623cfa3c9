"""Values as people write them in study files."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel

Plain = str | int | float | bool | None

_NULL = re.compile(r"null|Null|NULL|~|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST = 60


def plain_value(text: str) -> Plain:
    """Read a scalar without quotes by the core schema of YAML 1.2, octal and hexadecimal numbers aside.

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


def shown(value: object) -> str:
    """Write a value on one short line.

    >>> shown({"low": 1, "high": [0.5, "3", None]}), shown(float("inf"))
    ('{low: 1, high: [0.5, "3", null]}', '.inf')
    """
    text = _flow_text(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _flow_text(value: object) -> str:
    if isinstance(value, str):
        return value if isinstance(plain_value(value), str) else f'"{value}"'
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_flow_text(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_flow_text(item) for item in value)}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, BaseModel):
        return _flow_text(dict(value))
    return re.sub("(inf|nan)", r".\1", f"{value:.12g}") if isinstance(value, float) else str(value)
