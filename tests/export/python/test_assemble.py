"""Pieces are cut statement by statement; what is left stays as it was written."""

from __future__ import annotations

import ast

import pytest

from mbo_search.export.python.assemble import cut
from mbo_search.export.python.literals import literal

PIECE = '''
class Layer:
    """A layer."""

    @fast  # only: fast
    def forward(self, x):
        # only: a or not b and fast
        for one in x:
            one.step(
                lr=1,
            )
        x = x + 1  # type: ignore[operator]
        return x

    # only: a
    @fast
    def other(self):
        return [
            1,  # only: b
            2,
        ]
'''


@pytest.mark.parametrize(
    ("features", "kept", "gone"),
    [
        ({"a", "b"}, ["for one in x:", "def other(self):", "    1,\n"], ["@fast  # only", "type: ignore"]),
        ({"b"}, ["def forward", "return x"], ["@fast", "for one", "lr=1", "other", "    2,"]),
        ({"fast"}, ["    @fast\n    def forward", "lr=1"], ["other"]),
    ],
)
def test_statements_lines_and_decorators_are_cut(features, kept, gone):
    text = cut(PIECE, frozenset(features))
    compile(text.replace("fast\n", "staticmethod\n"), "piece", "exec")
    assert [part for part in kept if part not in text] == []
    assert [part for part in (*gone, "# only") if part in text] == []


def test_long_literals_have_a_line_for_each_item():
    value = {"name": 'a "quoted" word', "numbers": [0.1, 1e-05, None, True], "inner": {"k" * 30: "v" * 40}}
    text = literal(value)
    assert max(map(len, text.splitlines())) <= 88
    assert text.count("\n") > len(value)
    assert ast.literal_eval(text) == value
