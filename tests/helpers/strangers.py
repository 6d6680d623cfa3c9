"""Programs run by another user of this machine: a number without a name, a home or any variable of ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.helpers.forks import Forks, forks

STRANGER = 12_345
ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; sys.argv[0] = 'mbo-search'; from mbo_search.cli import main; main()"

_SHOW_INTERPRETER = """
mkdir -p "$1" && mount --bind "$2" "$1" && mount -t tmpfs -o mode=755 tmpfs "$3" && mkdir -p "$2" &&
mount --bind "$1" "$2" && shift 3 && exec "$@"
"""
"""Shows an interpreter in a closed folder to everybody, in a view of the files that ends with the program.

Arguments: an empty folder, the interpreter's folder, the closed folder above it, the command."""


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Make a folder that every user can enter and write, which those of pytest are not."""
    folder = Path(tempfile.mkdtemp(prefix="mbo-shared-", dir="/tmp"))
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def python_as_stranger(
    arguments: Sequence[str], folder: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Python as the stranger; the test is skipped where that is not possible."""
    _skip_unless_possible()
    clean = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(
        [*_as_stranger(), sys.executable, *arguments],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def forks_as_stranger(folder: Path, **variables: str) -> Iterator[Forks]:
    """Run several commands of the program as the stranger, each in a fork of one process."""
    _skip_unless_possible()
    clean = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    with forks([*_as_stranger(), sys.executable], folder, clean, ["mbo_search.engine.run"]) as started:
        yield started


def ask_as_stranger(arguments: Sequence[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the program as the stranger."""
    return python_as_stranger(["-P", "-c", PROGRAM, *arguments], folder, **variables)


def _skip_unless_possible() -> None:
    if not _is_possible():
        pytest.skip("needs root, setpriv, and an interpreter that others can reach")


@cache
def _is_possible() -> bool:
    if os.getuid() or not shutil.which("setpriv"):
        return False
    test = [*_as_stranger(), sys.executable, "-c", "import json"]
    return subprocess.run(test, capture_output=True, check=False, cwd="/").returncode == 0


@cache
def _as_stranger() -> list[str]:
    person = ["setpriv", "--reuid", str(STRANGER), "--regid", str(STRANGER), "--clear-groups"]
    base = Path(sys.base_prefix).resolve()
    closed = [parent for parent in reversed(base.parents) if not parent.stat().st_mode & 0o001]
    if not closed or not shutil.which("unshare"):
        return person
    place = f"/tmp/mbo-interpreter-{os.getpid()}"
    return ["unshare", "-m", "sh", "-c", _SHOW_INTERPRETER, "sh", place, str(base), str(closed[0]), *person]
