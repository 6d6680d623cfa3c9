"""Packages of other projects for single tests, beside the locked ones: installed once, found through PYTHONPATH.

Some programs that this project works with ask for versions that others of its packages forbid. Each set has a file
of pinned requirements in `tests/overlays`; it is installed without dependencies into a folder of its own, whose
packages come before those of the environment in processes that are started with it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).parents[2]


def overlay(name: str) -> Path:
    """Install the packages of `tests/overlays/NAME.txt`, unless they are there, and return their folder."""
    requirements = ROOT / "tests" / "overlays" / f"{name}.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = ROOT / "build" / "overlays" / f"{name}-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            _install(requirements, folder)
    return folder


def with_overlay(name: str, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment for processes that find the packages of an overlay before all others."""
    variables = dict(os.environ if environment is None else environment)
    path = os.pathsep.join(filter(None, [str(overlay(name)), str(ROOT), variables.get("PYTHONPATH", "")]))
    return variables | {"PYTHONPATH": path}


def _install(requirements: Path, folder: Path) -> None:
    unfinished = folder.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--target", str(unfinished), "--requirement", str(requirements)], check=True)
    unfinished.rename(folder)
