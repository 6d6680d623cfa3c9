"""Runs of Weights & Biases, offline unless `WANDB_MODE` says otherwise: nothing leaves the machine unasked."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from mbo_search.export.loggers.logged import RunLogger
from mbo_search.export.loggers.run_by_run import RunByRunLogger, RunStart, StartedRun


class WandbLogger(RunByRunLogger):
    """Makes runs of Weights & Biases."""

    def __init__(self, target: str) -> None:
        """Make the logger.

        Args:
            target: Name of the project; empty: that of the study.

        Raises:
            ImportError: If wandb is not installed.
        """
        super().__init__()
        self._wandb: Any = import_module("wandb")
        self._project = target

    def start(self, run: RunStart) -> StartedRun:
        """Begin a run; see `RunByRunLogger.start`.

        Its folder lies in the run directory unless `WANDB_DIR` names another. Only what is logged is kept: no
        source code, no output of this process, no load of the machine.
        """
        quiet = self._wandb.Settings(
            silent=True, console="off", x_disable_stats=True, disable_git=True, disable_code=True
        )
        started: StartedRun = self._wandb.init(
            project=self._project or run.search.name,
            group=f"{run.search.folder.name}-{run.search.key[:6]}",
            name=run.name,
            id=run.id,
            config=dict(run.config),
            dir=os.environ.get("WANDB_DIR", str(run.search.folder)),
            mode=os.environ.get("WANDB_MODE", "offline"),
            resume="allow",
            reinit="create_new",
            settings=quiet,
        )
        return started


def make(target: str) -> RunLogger:
    """Make the logger behind `--log wandb`; see `LoggerDefinition.make`."""
    return WandbLogger(target)
