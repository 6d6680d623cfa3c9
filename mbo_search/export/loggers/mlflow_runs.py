"""Runs in MLflow: the search is a run, its trials are child runs, parameters are named by stage.

What is there is looked up in MLflow itself, so that nothing is missing or there twice, whatever happened before: a
run without its last tag was left half written, and is deleted and made again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeVar

from mbo_search.export.loggers.logged import LoggedResult, LoggedSearch, LoggedTrial, RunLogger, Setting

_EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_NAME"
_SEARCH, _TRIAL, _STAMP = "mbo_search.search", "mbo_search.trial", "mbo_search.stamp"
_MOST_METRICS, _MOST_PARAMETERS, _MOST_CHARACTERS = 1000, 100, 500
"""What MLflow takes at once, and the longest value that every version of its databases keeps."""

_STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
_FILES = ("ranking.csv", "best.yaml", "report.html")

ItemT = TypeVar("ItemT")


class MlflowLogger(RunLogger):
    """Makes runs in MLflow."""

    def __init__(self, target: str) -> None:
        """Make the logger.

        Args:
            target: Tracking URI; empty: MLflow's own settings decide.

        Raises:
            ImportError: If MLflow is not installed.
        """
        self._entities: Any = import_module("mlflow.entities")
        self._client: Any = import_module("mlflow").MlflowClient(tracking_uri=target or None)
        self._search: LoggedSearch | None = None
        self._experiment = ""
        self._parent = ""
        self._trials: dict[int, str] = {}

    def begin(self, search: LoggedSearch) -> Collection[str]:
        """Find or make the run of the search, and find those of its trials; see `RunLogger.begin`."""
        self._search = search
        self._experiment = self._experiment_of(search.name)
        runs = list(self._runs_of(search.key))
        parents = [run.info.run_id for run in runs if _TRIAL not in run.data.tags]
        self._parent = parents[0] if parents else self._new_parent(search)
        self._client.update_run(self._parent, status="RUNNING")
        self._trials = {int(run.data.tags[_TRIAL]): run.info.run_id for run in runs if _TRIAL in run.data.tags}
        return [run.data.tags[_STAMP] for run in runs if _STAMP in run.data.tags]

    def trial(self, trial: LoggedTrial) -> None:
        """Make the run of a trial; see `RunLogger.trial`."""
        if trial.number in self._trials:  # half written, or of an earlier attempt
            self._client.delete_run(self._trials.pop(trial.number))
        tags = {"mlflow.parentRunId": self._parent, _TRIAL: str(trial.number), "arm": trial.arm}
        run = self._new_run(trial.name, tags, trial.started_at)
        self._trials[trial.number] = run
        self._log_parameters(run, trial.facts)
        last_step = trial.points[-1].step if trial.points else 0
        points = [(name, value, point.step) for point in trial.points for name, value in point.values.items()]
        results = [(name, value, last_step) for name, value in trial.results.items()]
        self._log_metrics(run, [*points, *results], trial.ended_at)
        self._client.set_terminated(run, status=_STATUS[trial.state], end_time=_milliseconds(trial.ended_at))
        self._client.set_tag(run, _STAMP, trial.stamp)
        self._log_progress(trial)

    def end(self, result: LoggedResult) -> None:
        """Give the run of the search its verdict and files; see `RunLogger.end`."""
        tags = {
            "mlflow.note.content": f"{result.verdict}\n\n{result.next}",
            "verdict": result.verdict,
            "winner_trial": "" if result.winner_trial is None else str(result.winner_trial),
        }
        for name, value in tags.items():
            self._client.set_tag(self._parent, name, value[:_MOST_CHARACTERS])
        self._log_metrics(self._parent, [(name, value, 0) for name, value in result.results.items()], time.time())
        for row in result.ranking:
            if row.trial in self._trials:
                self._client.set_tag(self._trials[row.trial], "rank", str(row.rank))
        self._log_files()
        self._client.set_terminated(self._parent, status="FINISHED" if result.is_finished else "KILLED")

    def _log_files(self) -> None:
        assert self._search is not None, "a search was begun"
        for name in _FILES:
            file = self._search.folder / name
            if file.is_file():
                self._client.log_artifact(self._parent, str(file))

    def _experiment_of(self, study: str) -> str:
        name = os.environ.get(_EXPERIMENT_VARIABLE, study)
        found = self._client.get_experiment_by_name(name)
        return str(self._client.create_experiment(name) if found is None else found.experiment_id)

    def _runs_of(self, key: str) -> Iterator[Any]:
        """All runs of a search, page by page."""
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment], f"tags.`{_SEARCH}` = '{key}'", max_results=1000, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _new_parent(self, search: LoggedSearch) -> str:
        run = self._new_run(search.folder.name, {"study": search.study}, time.time())
        self._log_parameters(run, search.settings)
        return run

    def _new_run(self, name: str, tags: Mapping[str, str], started_at: float) -> str:
        assert self._search is not None, "a search was begun"
        made = self._client.create_run(
            self._experiment,
            start_time=_milliseconds(started_at),
            run_name=name,
            tags={_SEARCH: self._search.key, **tags},
        )
        return str(made.info.run_id)

    def _log_parameters(self, run: str, settings: Mapping[str, Setting]) -> None:
        parameters = [
            self._entities.Param(name, str(value)[:_MOST_CHARACTERS])
            for name, value in settings.items()
            if value != ""
        ]
        for some in _batches(parameters, _MOST_PARAMETERS):
            self._client.log_batch(run, params=some)

    def _log_metrics(self, run: str, values: Iterable[tuple[str, float, int]], at: float) -> None:
        metrics = [self._entities.Metric(name, value, _milliseconds(at), step) for name, value, step in values]
        for some in _batches(metrics, _MOST_METRICS):
            self._client.log_batch(run, metrics=some)

    def _log_progress(self, trial: LoggedTrial) -> None:
        """Show in the run of the search how far it has come."""
        found = {"val_loss": trial.results.get("val_loss"), "best_val_loss": trial.best_val_loss}
        known = [(f"search/{name}", value, trial.number) for name, value in found.items() if value is not None]
        self._log_metrics(self._parent, known, trial.ended_at)


def _batches(items: Sequence[ItemT], size: int) -> Iterator[Sequence[ItemT]]:
    """Cut a sequence into pieces of a size, the last one shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _milliseconds(seconds: float) -> int:
    return int(1000 * seconds)


def make(target: str) -> RunLogger:
    """Make the logger behind `--log mlflow`; see `LoggerDefinition.make`."""
    return MlflowLogger(target)
