"""How command-line tests speak to the program: in this process, or as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mbo_search.cli.app import app
from mbo_search.cli.console import run_app


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self):
        return json.loads(self.out)


@pytest.fixture
def mbo(capfd) -> Callable[..., Ended]:
    """Run a command in this process."""

    def run(*arguments: object) -> Ended:
        capfd.readouterr()
        code = run_app(app, [str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Ended(code=code, out=captured.out, err=captured.err)

    return run


@pytest.fixture
def mbo_process() -> Callable[..., Ended]:
    """Run a command as a process of its own."""
    program = Path(sys.executable).parent / "mbo-search"

    def run(*arguments: object) -> Ended:
        done = subprocess.run(
            [program, *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        return Ended(code=done.returncode, out=done.stdout, err=done.stderr)

    return run
