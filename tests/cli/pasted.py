"""A command that was advised, as the program would read it."""

from __future__ import annotations

import shlex

import typer
from typer.main import get_command

from mbo_search.cli.app import app

__all__ = ["pasted_command"]


def pasted_command(advice: str) -> list[str]:
    """The words of the command in an advice; one that does not exist, or an option that it has not, is an error.

    Args:
        advice: Such as `Next: search longer: mbo-search resume DIR`.

    Returns:
        What follows the program's name.
    """
    _, _, command = advice.rpartition("mbo-search ")
    words = shlex.split(command)
    known = get_command(app).commands[words[0]]
    _, left, _ = known.make_parser(typer.Context(known)).parse_args(words[1:])
    assert left == [], f"{left} belong to nothing"
    return words
