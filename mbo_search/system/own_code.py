"""Python files of the user's own: run only where that was allowed, once for every content that they have."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from mbo_search.errors import ALLOW_CODE, Problem, StudyError


def check_code_allowed(key: str, value: str, rule: str) -> None:
    """Refuse to run what a study names, unless that was allowed.

    Raises:
        StudyError: If it was not; the rule says what would happen.
    """
    if os.environ.get(ALLOW_CODE) != "1":
        hint = "read it, and give --allow-code if you trust it (in Python: allow_code=True)"
        raise StudyError([Problem(key=key, value=value, rule=rule, hint=hint)])


def module_of_file(file: Path, name: str) -> ModuleType:
    """Run a file as a module of a name that its content decides; one that was run already is returned as it is.

    What the file raises is not caught.
    """
    if name not in sys.modules:
        found = importlib.util.spec_from_file_location(name, file)
        assert found is not None
        assert found.loader is not None
        module = importlib.util.module_from_spec(found)
        sys.modules[name] = module  # dataclasses and pickles in it look for it there
        try:
            found.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]
