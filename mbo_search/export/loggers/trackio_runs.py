"""Runs of trackio, which keeps them in a database on this machine."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any

from mbo_search.export.loggers.logged import RunLogger
from mbo_search.export.loggers.run_by_run import RunByRunLogger, RunStart, StartedRun


class TrackioLogger(RunByRunLogger):
    """Makes runs of trackio."""

    def __init__(self, target: str) -> None:
        """Make the logger.

        Args:
            target: Name of the project; empty: that of the study.

        Raises:
            ImportError: If trackio is not installed.
        """
        super().__init__()
        self._trackio: Any = import_module("trackio")
        self._project = target

    def start(self, run: RunStart) -> StartedRun:
        """Begin a run; see `RunByRunLogger.start`."""
        with redirect_stdout(io.StringIO()):  # it prints there, where a command may owe a document
            started = self._trackio.init(
                project=self._project or run.search.name,
                group=f"{run.search.folder.name}-{run.search.key[:6]}",
                name=f"{run.name}-{run.search.key[:6]}",
                config=dict(run.config),
                resume="allow",
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        return _QuietRun(started, self._trackio.finish)


class _QuietRun:
    """A run of trackio whose end prints nothing."""

    def __init__(self, started: Any, finish: Callable[[], object]) -> None:
        self._started = started
        self._finish = finish

    def log(self, values: dict[str, float], *, step: int) -> None:
        """Add numbers at a step; see `StartedRun.log`."""
        self._started.log(values, step=step)

    def finish(self) -> None:
        """End the run; see `StartedRun.finish`."""
        with redirect_stdout(io.StringIO()):
            self._finish()


def make(target: str) -> RunLogger:
    """Make the logger behind `--log trackio`; see `LoggerDefinition.make`."""
    return TrackioLogger(target)
