"""The studies that come with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from mbo_search.errors import Problem, StudyError
from mbo_search.study.catalogue.suggestions import nearest_hint


def example_names() -> tuple[str, ...]:
    """Names of the shipped studies, sorted.

    >>> "quickstart" in example_names()
    True
    """
    return tuple(sorted(path.stem for path in _folder().glob("*.yaml")))


def example_path(name: str) -> Path:
    """The file of a shipped study. Texts that it names lie beside it.

    Raises:
        StudyError: If the name is unknown.
    """
    names = example_names()
    if name not in names:
        rule = f"is not a shipped study; known are {', '.join(names)}"
        raise StudyError([Problem(key="example", value=name, rule=rule, hint=nearest_hint(name, names))])
    return _folder() / f"{name}.yaml"


def _folder() -> Path:
    return Path(str(files("mbo_search"))) / "studies"
