"""Which study file a command means: a path, or the name of a study that is shipped with the package."""

from __future__ import annotations

import difflib
from pathlib import Path

from mbo_search.errors import Problem, UserError

__all__ = ["SHIPPED", "study_path"]

SHIPPED = Path(__file__).resolve().parents[1] / "studies"
"""Folder of the shipped studies."""


def study_path(file: Path | None, example: str | None) -> Path:
    """The study file that a command line names.

    Args:
        file: The argument, if there is one.
        example: The name behind `--example`, if there is one.

    Raises:
        UserError: If neither or both are given, or there is no example of that name.
    """
    if (file is None) == (example is None):
        raise UserError("give a study file or --example NAME, and not both")
    if file is not None:
        return file
    names = sorted(path.stem for path in SHIPPED.glob("*.yaml"))
    if example not in names:
        near = difflib.get_close_matches(example or "", names, n=1)
        hint = f"did you mean {near[0]}?" if near else ""
        rule = f"must be one of {', '.join(names)}"
        raise UserError([Problem(key="--example", value=example, rule=rule, hint=hint)])
    return SHIPPED / f"{example}.yaml"
