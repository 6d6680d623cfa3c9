"""Loggers by the name that `--log` takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar

from mbo_search.errors import Problem, UserError
from mbo_search.export.loggers.logged import RunLogger
from mbo_search.extensions import LOGGER_GROUP, Registry, by_name
from mbo_search.study.catalogue.suggestions import nearest_hint


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggerDefinition:
    """A place where searches can be sent.

    Attributes:
        name: Name for `--log`.
        version: Version of what it writes, for `mbo-search list`.
        summary: One line.
        make: Makes the logger, given what stands behind `=`, which may be empty. It imports what it needs, and
            raises ImportError where that is not installed, so that a search is refused before it begins.
        install: How to install what it needs; empty where nothing is needed.
    """

    group: ClassVar[str] = LOGGER_GROUP

    name: str
    version: str = ""
    summary: str
    make: Callable[[str], RunLogger]
    install: str = ""


@dataclass(frozen=True, slots=True)
class NamedLogger:
    """A logger and what it was asked for by.

    Attributes:
        name: Such as `mlflow=sqlite:///mlruns.db`; for an object, its own name.
        logger: The logger.
    """

    name: str
    logger: RunLogger

    @property
    def shown(self) -> str:
        """Its name in messages, without an address, which may hold a password."""
        return self.name.partition("=")[0]


def open_loggers(asked: Sequence[str | RunLogger]) -> tuple[NamedLogger, ...]:
    """Make loggers, before anything is trained.

    Args:
        asked: Names, each with its target behind `=` where it has one, or objects.

    Raises:
        UserError: If there is none of a name, or its package is missing; with all problems.
    """
    opened: list[NamedLogger] = []
    problems: list[Problem] = []
    for one in dict.fromkeys(asked):
        try:
            opened.append(_open(one))
        except UserError as error:
            problems += error.problems
    counts = Counter(one.name for one in opened)
    twice = [
        Problem(key="--log", value=name, rule="is the name of two loggers") for name in counts if counts[name] > 1
    ]
    if problems or twice:
        raise UserError([*problems, *twice])
    return tuple(opened)


def _open(asked: str | RunLogger) -> NamedLogger:
    if isinstance(asked, RunLogger):
        return NamedLogger(asked.name, asked)
    name, _, target = asked.partition("=")
    definition = LOGGERS.get(name)
    if definition is None:
        rule, hint = f"must be one of {', '.join(LOGGERS)}", nearest_hint(name, LOGGERS)
        raise UserError([Problem(key="--log", value=name, rule=rule, hint=hint)])
    try:
        return NamedLogger(asked, definition.make(target))
    except ImportError as error:
        rule = f"needs a package that cannot be loaded: {error}"
        hint = f"install it: {definition.install}" if definition.install else ""
        raise UserError([Problem(key="--log", value=name, rule=rule, hint=hint)]) from error


def _late(module: str) -> Callable[[str], RunLogger]:
    """A maker whose module is imported when it is called."""

    def make(target: str) -> RunLogger:
        made: RunLogger = import_module(f"mbo_search.export.loggers.{module}").make(target)
        return made

    return make


LOGGERS = Registry(
    LOGGER_GROUP,
    LoggerDefinition,
    by_name(
        LoggerDefinition(
            name="tensorboard",
            summary="event files for TensorBoard, in DIR/tensorboard or the folder behind =",
            make=_late("event_files"),
            install="pip install tensorboardX",
        ),
        LoggerDefinition(
            name="mlflow",
            summary="a run with child runs in MLflow, at the tracking URI behind =",
            make=_late("mlflow_runs"),
            install="pip install 'mbo-search[mlflow]'",
        ),
        LoggerDefinition(
            name="wandb",
            summary="runs of Weights & Biases, in the project behind =; offline unless WANDB_MODE says otherwise",
            make=_late("wandb_runs"),
            install="pip install 'mbo-search[wandb]'",
        ),
        LoggerDefinition(
            name="trackio",
            summary="runs of trackio, in the project behind =",
            make=_late("trackio_runs"),
            install="pip install 'mbo-search[trackio]'",
        ),
    ),
)
"""Loggers by name."""
