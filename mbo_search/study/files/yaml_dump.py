"""Writing values as YAML that people can read: sections one under the other, small values on one line.

Files are YAML 1.2, and written so that readers of YAML 1.1, such as PyYAML, read the same values.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from mbo_search.study.checks.written import plain_value

_LINE_WIDTH = 110


Path = tuple[str | int, ...]
"""Keys and positions that lead to a value."""

Remarks = Mapping[Path, Sequence[str]]
"""Comments above the line of a key, by the path of the key."""


def dump_yaml(value: Mapping[str, object], remarks: Remarks = MappingProxyType({})) -> str:
    """Write a mapping of plain values as YAML 1.2, with comments if there are any."""
    writer = YAML(typ="rt", pure=True)
    writer.width = _LINE_WIDTH
    writer.brace_single_entry_mapping_in_flow_sequence = True
    writer.Representer = _Representer
    writer.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    writer.dump(_commented(value, (), remarks), stream)
    return stream.getvalue()


class _Representer(RoundTripRepresenter):
    """Writes None as `null`, never as nothing, and every float with a point: 3e-05 is a text in YAML 1.1."""


def _represent_none(representer: RoundTripRepresenter, _: None) -> ScalarNode:
    node: ScalarNode = representer.represent_scalar("tag:yaml.org,2002:null", "null")
    return node


def _represent_float(representer: RoundTripRepresenter, value: float) -> ScalarNode:
    digits, exponent, power = repr(value).partition("e")
    text = f"{digits}.0e{power}" if exponent and "." not in digits else repr(value)
    text = text if math.isfinite(value) else text.replace("inf", ".inf").replace("nan", ".nan")
    node: ScalarNode = representer.represent_scalar("tag:yaml.org,2002:float", text)
    return node


_Representer.add_representer(type(None), _represent_none)
_Representer.add_representer(float, _represent_float)


def _commented(value: object, path: Path, remarks: Remarks) -> object:
    if isinstance(value, Mapping):
        mapping = CommentedMap(
            (_text(str(key)), _commented(item, (*path, str(key)), remarks)) for key, item in value.items()
        )
        if path and _fits(value) and not _is_remarked(path, remarks):
            mapping.fa.set_flow_style()
        for key in mapping:
            if (*path, key) in remarks:
                column = _column(path)
                lines = "\n".join(_folded(text, column) for text in remarks[(*path, key)])
                mapping.yaml_set_comment_before_after_key(key, before=lines, indent=column)
        return mapping
    if isinstance(value, Sequence) and not isinstance(value, str):
        sequence = CommentedSeq(_commented(item, (*path, index), remarks) for index, item in enumerate(value))
        if _fits(value) and not _is_remarked(path, remarks):
            sequence.fa.set_flow_style()
        return sequence
    return _text(value) if isinstance(value, str) else value


def _is_remarked(path: Path, remarks: Remarks) -> bool:
    """Whether a key below has a comment, for which it needs a line of its own."""
    return any(len(known) > len(path) and known[: len(path)] == path for known in remarks)


def _column(path: Path) -> int:
    """Column of the keys of a mapping: two for each level, and two for the dash of a list."""
    return 2 * len(path)


def _folded(text: str, column: int) -> str:
    return textwrap.fill(text, _LINE_WIDTH - column, break_long_words=False, break_on_hyphens=False)


_PLAIN = re.compile(r"[^\W\d][\w./+-]*(:[\w./+-]+)*( [\w./+-]+)*|/[\w./+-]*")
"""Text that no reader of YAML can take for anything else, unless it is the name of a value such as `null`."""


_YAML_1_1_BOOLEAN = re.compile(r"y|n|yes|no|on|off", re.IGNORECASE)


def _text(text: str) -> str:
    """Text with quotes where it could be taken for something else; the library's own judgment has gaps."""
    is_plain = _PLAIN.fullmatch(text) and plain_value(text) == text and not _YAML_1_1_BOOLEAN.fullmatch(text)
    return text if is_plain else DoubleQuotedScalarString(text)


def _fits(value: object) -> bool:
    """Tell whether a value is small enough for one line."""
    return len(str(value)) <= 100
