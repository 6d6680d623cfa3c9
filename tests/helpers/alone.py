"""A test function in a process of its own: Ray is started once in a process, a process of tests lives long."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_alone(function: Callable[[Path], None], folder: Path, *, seconds: float = 240.0) -> None:
    """Call a function of a module with a folder in another process; what it raises fails the test."""
    code = (
        "import sys; from pathlib import Path; "
        f"from {function.__module__} import {function.__name__} as check; check(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
