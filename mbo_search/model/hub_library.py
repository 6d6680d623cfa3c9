"""The door to `transformers`: loaded when it is needed, quiet, and its refusals in our words."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mbo_search.errors import Problem, StudyError


def transformers_for(key: str, value: str) -> Any:
    """Load the library for a model that a study names.

    Raises:
        StudyError: If it is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        rule = "needs the package `transformers`"
        hint = "install it with `pip install 'mbo-search[models]'`"
        raise StudyError([Problem(key=key, value=value, rule=rule, hint=hint)]) from error
    return transformers


@contextmanager
def said_nothing() -> Iterator[None]:
    """The library warns of weights that are left out, which a study with fewer layers means to do."""
    logging: Any = importlib.import_module("transformers.utils.logging")
    verbosity, shows_progress = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shows_progress:
            logging.enable_progress_bar()


def refused(key: str, value: str, error: Exception) -> StudyError:
    """Say why the library cannot make a model."""
    rule = f"cannot be read: {first_line(error)}"
    hint = "it must be a folder that `save_pretrained` of `transformers` writes"
    return StudyError([Problem(key=key, value=value, rule=rule, hint=hint if key == "model.pretrained" else "")])


def first_line(error: Exception) -> str:
    """The first line of an error's text."""
    return str(error).strip().split("\n")[0]
