"""Event files for TensorBoard: a folder of curves and settings for each trial, and one for the search.

A folder holds a note of the result that was written to it, written last. So a folder that was left half written, or
holds an earlier result of a trial that was trained again, is written anew, and no curve is ever there twice.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

from mbo_search.export.loggers.logged import LoggedResult, LoggedSearch, LoggedTrial, RunLogger
from mbo_search.system.files import write_atomic

_STAMP = "logged-trial"
_EVENTS = "events.out.tfevents.*"


class EventFileLogger(RunLogger):
    """Writes event files."""

    def __init__(self, target: str) -> None:
        """Make the logger.

        Args:
            target: The log folder, in which each search gets one of its own; empty: `tensorboard` in the run
                directory.

        Raises:
            ImportError: If tensorboardX is not installed.
        """
        self._tensorboard: Any = import_module("tensorboardX")
        self._summary: Any = import_module("tensorboardX.summary")
        self._target = target
        self._folder = Path()
        self._search: Any = None

    def begin(self, search: LoggedSearch) -> Collection[str]:
        """Find the trials whose folders are complete; see `RunLogger.begin`."""
        self.close()
        own = f"{search.folder.name}-{search.key[:6]}"
        self._folder = Path(self._target) / own if self._target else search.folder / "tensorboard"
        self._search = self._writer(self._folder / "search")
        stamps = self._folder.glob(f"*/{_STAMP}")
        return [stamp.read_text(encoding="utf-8") for stamp in stamps]

    def trial(self, trial: LoggedTrial) -> None:
        """Write the curves, settings and results of a trial; see `RunLogger.trial`."""
        folder = self._folder / trial.name
        for half_written in (*folder.glob(_EVENTS), *folder.glob(_STAMP)):
            half_written.unlink()
        with closing(self._writer(folder)) as writer:
            self._write_settings(writer, trial)
            for point in trial.points:
                for name, value in point.values.items():
                    writer.add_scalar(f"trial/{name}", value, point.step, walltime=trial.ended_at)
            for name, value in trial.results.items():
                writer.add_scalar(f"result/{name}", value, trial.number, walltime=trial.ended_at)
        write_atomic(folder / _STAMP, trial.stamp)
        self._write_progress(trial)

    def end(self, result: LoggedResult) -> None:
        """Write verdict and ranking as texts; see `RunLogger.end`."""
        self._search.add_text("verdict", f"{result.verdict}\n\n{result.next}", 0)
        self._search.add_text("ranking", _table(result), 0)
        for name, value in result.results.items():
            self._search.add_scalar(f"result/{name}", value, 0)
        self._search.flush()

    def close(self) -> None:
        """Close the file of the search; see `RunLogger.close`."""
        if self._search is not None:
            self._search.close()
            self._search = None

    def _write_settings(self, writer: Any, trial: LoggedTrial) -> None:
        """Write what TensorBoard's table of hyperparameters shows."""
        metrics = {f"result/{name}": value for name, value in trial.results.items()}
        for summary in self._summary.hparams(hparam_dict=trial.facts, metric_dict=metrics):
            writer.file_writer.add_summary(summary)

    def _write_progress(self, trial: LoggedTrial) -> None:
        found = {"val_loss": trial.results.get("val_loss"), "best_val_loss": trial.best_val_loss}
        for name, value in found.items():
            if value is not None:
                self._search.add_scalar(f"search/{name}", value, trial.number, walltime=trial.ended_at)
        self._search.flush()

    def _writer(self, folder: Path) -> Any:
        """A writer of a file of its own: by default two of one second would be the same."""
        return self._tensorboard.SummaryWriter(logdir=str(folder), filename_suffix=f".{time.time_ns()}")


def _table(result: LoggedResult) -> str:
    """The ranking in Markdown."""
    rows = [
        f"| {row.rank} | {row.trial} | {'' if row.val_loss is None else f'{row.val_loss:.4f}'} | {row.recipe} |"
        for row in result.ranking
    ]
    return "\n".join(["| rank | trial | loss | schedule |", "| --- | --- | --- | --- |", *rows])


def make(target: str) -> RunLogger:
    """Make the logger behind `--log tensorboard`; see `LoggerDefinition.make`."""
    return EventFileLogger(target)
