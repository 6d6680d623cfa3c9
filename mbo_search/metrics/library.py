"""Libraries that metrics are computed with; they are loaded when the first answer is judged."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

from mbo_search.errors import Problem, StudyError
from mbo_search.study.catalogue.metrics import METRICS


def check_libraries(metrics: Sequence[str]) -> None:
    """Check that the libraries of metrics are installed, before anything is trained.

    Raises:
        StudyError: If not, with every one that is missing.
    """
    libraries = [library for library in dict.fromkeys(METRICS[name].library for name in metrics) if library]
    missing = [library for library in libraries if importlib.util.find_spec(library) is None]
    if missing:
        raise StudyError([_missing(library) for library in missing])


def library(module: str) -> Any:
    """Import a library.

    Raises:
        StudyError: If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise StudyError([_missing(module.partition(".")[0])]) from error


def _missing(package: str) -> Problem:
    """Say what is not installed, and how to install it."""
    hint = "install it with `pip install 'mbo-search[tasks]'`"
    return Problem(key="evaluation.metrics", rule=f"needs the package `{package}`", hint=hint)
