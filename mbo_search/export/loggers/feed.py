"""Feeding one logger with what a run directory holds, as far as it has not been sent before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mbo_search.errors import RunDirectoryError
from mbo_search.export.loggers.from_records import logged_result, logged_trial, stamp_of, study_settings
from mbo_search.export.loggers.ledger import Ledger
from mbo_search.export.loggers.logged import LoggedSearch
from mbo_search.export.loggers.registry import NamedLogger
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.ranking.repeats import repeat_folder
from mbo_search.results.records.hostile_files import read_description
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.study_file import dump_study


class Feed:
    """One run directory on its way to one logger.

    The records are all that is read, so that training knows nothing of loggers, and a search that ended long ago is
    sent like one that is running.
    """

    def __init__(self, named: NamedLogger, folder: Path) -> None:
        self.folder = folder
        self.num_sent = 0
        self._run = RunDirectory.open(folder)
        self._logger = named.logger
        self._ledger = Ledger(folder, named.name)
        self._versions: dict[int, int] = {}
        self._best: float | None = None
        self._known: frozenset[str] = frozenset()

    def begin(self) -> None:
        """Open the search in the logger."""
        self._ledger.note(frozenset())
        study = self._run.study()
        opened = LoggedSearch(
            key=self._ledger.key,
            name=study.study,
            folder=self.folder.absolute(),
            settings=study_settings(study),
            study=dump_study(study),
            sent=self._ledger.sent,
        )
        self._known = frozenset(self._logger.begin(opened))

    def send_new(self) -> None:
        """Send the trials that have ended since the last call, in the order in which they did."""
        for record in sorted(self._changed(), key=lambda record: (record.ended_at, record.trial)):
            if record.is_search and record.val_loss is not None:
                self._best = min(record.val_loss, record.val_loss if self._best is None else self._best)
            if stamp_of(record) not in self._known:
                self._logger.trial(logged_trial(record, self._run.whole_curve(record.trial), self._best))
                self._ledger.note(frozenset({stamp_of(record)}))
                self.num_sent += 1

    def end(self) -> None:
        """Send verdict and ranking as they are now."""
        is_finished = self._run.status().get("finished") is not False
        self._logger.end(logged_result(make_ranking(self._run), is_finished=is_finished))

    def _changed(self) -> Iterator[TrialRecord]:
        """Records that have ended, and were written since the last call; damaged ones are reported elsewhere."""
        for number in sorted(self._run.trial_numbers()):
            file = self._run.record_file(number)
            version = file.stat().st_mtime_ns if file.exists() else None
            if version is None or self._versions.get(number) == version:
                continue
            self._versions[number] = version
            try:
                record = read_description(file, TrialRecord)
            except RunDirectoryError:
                continue
            if record.state != "interrupted":
                yield record


def searches_in(root: Path) -> list[Path]:
    """The run directory and those of its independent repeats that have begun."""
    planned = RunDirectory.open(root).study().search.repeats
    folders = [repeat_folder(root, number) for number in range(1, planned + 1)]
    return [folder for folder in folders if (folder / "study.yaml").is_file()]


def send_run(named: NamedLogger, root: Path) -> int:
    """Send a run directory as it is now, and close the logger; return the number of trials that were new to it."""
    try:
        return send_all(named, root)
    finally:
        named.logger.close()


def send_all(named: NamedLogger, root: Path) -> int:
    """Send a run directory and its repeats to a logger; return the number of trials that were new to it."""
    num_sent = 0
    for folder in searches_in(root):
        feed = Feed(named, folder)
        feed.begin()
        feed.send_new()
        feed.end()
        num_sent += feed.num_sent
    return num_sent
