"""A user's function or class in a Python file, as a trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mbo_search.errors import Problem, StudyError
from mbo_search.study.spec.foreign.runner import RunnerSpec
from mbo_search.system.files import sha256_file
from mbo_search.system.own_code import module_of_file


def load_code(runner: RunnerSpec) -> Any:
    """Load what a study names as `FILE:NAME`; the file is run once for every content that it has.

    A class is called without arguments. The caller has checked that code may be run.

    Raises:
        StudyError: If the file fails, or holds nothing of the name that can be called.
    """
    file = Path(runner.file)
    try:
        found = getattr(module_of_file(file, f"mbo_search_runner_{sha256_file(file)[:16]}"), runner.name)
        made = found() if isinstance(found, type) else found
    except Exception as error:
        rule = f"cannot be loaded: {type(error).__name__}: {error}"
        raise StudyError([Problem(key="runner.code", value=str(runner.code), rule=rule)]) from error
    if not callable(made) and not callable(getattr(made, "run", None)):
        rule = f"is {type(made).__name__}, neither a function nor a class of runners"
        raise StudyError([Problem(key="runner.code", value=str(runner.code), rule=rule)])
    return made
