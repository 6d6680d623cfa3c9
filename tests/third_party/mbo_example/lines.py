"""A logger that writes a line for each trial."""

from __future__ import annotations

from pathlib import Path

from mbo_search.export.loggers.logged import LoggedTrial, RunLogger
from mbo_search.export.loggers.registry import LoggerDefinition


class LineLogger(RunLogger):
    """Writes a line for each trial."""

    def __init__(self, target: str) -> None:
        self.file = Path(target or "searches.txt")

    def trial(self, trial: LoggedTrial) -> None:
        """Add a line."""
        with self.file.open("a", encoding="utf-8") as lines:
            print(trial.name, trial.arm, trial.results.get("val_loss"), file=lines)


LINES = LoggerDefinition(name="lines", version="1", summary="a line for each trial", make=LineLogger)
