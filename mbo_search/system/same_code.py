"""Child processes that run exactly the code of this process, wherever they are started.

The current directory is never code. Python puts it on the path of `python -m`, Ray on that of its workers, and an
empty piece of `PYTHONPATH` names it; a file `numpy.py` that somebody left there would then be run. So children get
the path of their parent spelled out, and check that they found the same package.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The code of this package that a process runs.

    Attributes:
        folder: Where it lies.
        fingerprint: Hash of the names and contents of its files.
    """

    folder: str
    fingerprint: str


def code_here() -> Code:
    """The code that this process runs."""
    digest = hashlib.sha256()
    for file in sorted(_PACKAGE.rglob("*.py")):
        digest.update(f"{file.relative_to(_PACKAGE).as_posix()}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return Code(folder=str(_PACKAGE), fingerprint=digest.hexdigest()[:_DIGITS])


def forget_current_folder(path: MutableSequence[str], named: str) -> None:
    """Remove the current directory from a module path.

    It stays where `PYTHONPATH` names it in so many words, or where it is from there that this package runs.

    Args:
        path: The module path, `sys.path`; changed in place.
        named: The value of `PYTHONPATH`.
    """
    here = str(Path.cwd())
    explicit = {str(Path(piece).resolve()) for piece in named.split(os.pathsep) if piece}
    if here in explicit or here == str(_PACKAGE.parent):
        return
    leading = leading_entries(path)
    path[:] = [
        *(entry for entry in leading if entry and str(Path(entry).resolve()) != here),
        *path[len(leading) :],
    ]


def leading_entries(path: Sequence[str]) -> Sequence[str]:
    """The entries of a module path before the standard library: scripts, `PYTHONPATH`, what a program added.

    >>> leading_entries(["/mine", "/also/mine"])
    ['/mine', '/also/mine']
    """
    library = Path(os.__file__).parent
    for index, entry in enumerate(path):
        if entry.endswith(".zip") or Path(entry) == library:
            return path[:index]
    return path


def python_path() -> str:
    """The `PYTHONPATH` by which a child finds the modules that this process finds, in the same order."""
    return os.pathsep.join(str(Path(entry).absolute()) for entry in leading_entries(sys.path))
