"""The runner of a command: it knows where the output of the trial in training goes."""

from __future__ import annotations

from pathlib import Path

from mbo_search.study.spec.foreign.runner import RunnerSpec
from mbo_search.train.foreign.command import CommandTrainer
from mbo_search.train.foreign.runner import ForeignRunner
from mbo_search.train.setup.setup import TrainSetup


class CommandRunner(ForeignRunner):
    """Trains spans of schedules by a command.

    Args:
        runner: The command.
        setup: The study's setup.
        scratch: Folder for unfinished spans.
        hang_seconds: Time without a sign of life after which a process is ended.
    """

    def __init__(self, runner: RunnerSpec, setup: TrainSetup, scratch: Path, hang_seconds: float) -> None:
        self._trainer = CommandTrainer(runner, scratch / "output.log", hang_seconds)
        super().__init__(self._trainer, setup, scratch)

    def log_to(self, file: Path) -> None:
        """Let the output of what is trained next go to a file."""
        self._trainer.log = file
