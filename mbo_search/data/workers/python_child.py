"""How a child process is started that runs a module of this package."""

from __future__ import annotations

import json
import sys
from pathlib import Path

_START = (
    "import importlib, json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "importlib.import_module(sys.argv[2]).main(*sys.argv[3:])"
)


def child_command(module: str, *arguments: str) -> list[str]:
    """Return the command that calls a module's `main`; it never looks for packages in the current directory."""
    paths = [str(Path(__file__).parents[3]), *(path for path in sys.path if path)]
    return [sys.executable, "-P", "-c", _START, json.dumps(paths), module, *arguments]
