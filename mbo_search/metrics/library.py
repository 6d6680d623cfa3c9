"""Libraries that metrics are computed with; they are loaded when the first answer is judged."""

from __future__ import annotations

import importlib
from typing import Any

from mbo_search.errors import Problem, StudyError


def library(module: str) -> Any:
    """Import a library.

    Raises:
        StudyError: If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise StudyError([missing_library(module.partition(".")[0])]) from error


def missing_library(package: str) -> Problem:
    """Say what is not installed, and how to install it."""
    hint = "install it with `pip install 'mbo-search[tasks]'`"
    return Problem(key="evaluation.metrics", rule=f"needs the package `{package}`", hint=hint)
