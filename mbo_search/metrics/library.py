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
        rule = f"needs the package `{module.partition('.')[0]}`"
        hint = "install it with `pip install 'mbo-search[tasks]'`"
        raise StudyError([Problem(key="evaluation.metrics", rule=rule, hint=hint)]) from error
