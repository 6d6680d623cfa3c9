"""Every text can be printed, on every terminal and into every pipe."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = r"""
import sys
from mbo_search.system.any_text import accept_any_text
accept_any_text()
print("caf\udce9 \u4e2d")
print("caf\udce9 \u4e2d", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("environment", "chinese"),
    [
        ({"PYTHONIOENCODING": "ascii"}, rb"\u4e2d"),
        ({"PYTHONIOENCODING": "utf-8"}, "\u4e2d".encode()),
        ({"LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, rb"\u4e2d"),
        ({"LANG": "C.UTF-8"}, "\u4e2d".encode()),
    ],
)
def test_a_pipe_gets_the_bytes_of_a_name_and_escapes_for_what_it_lacks(environment, chinese):
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, env=environment, check=True)
    assert done.stdout == b"caf\xe9 " + chinese + b"\n"
    assert done.stderr == b"caf\xe9 " + chinese + b"\n"
