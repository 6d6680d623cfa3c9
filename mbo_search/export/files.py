"""A schedule of a run directory as a file that can be trained again anywhere."""

from __future__ import annotations

from pathlib import Path

from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.export.exporters import exporter
from mbo_search.export.private_paths import beside
from mbo_search.results.evidence.count_words import schedule_words
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.ranking.provenance import schedule_file_of
from mbo_search.results.records.run_directory import RunDirectory


def export_schedule(run: RunDirectory, trial: int | None, export_format: str, folder: Path) -> str:
    """Write a schedule with its study's sections and its provenance, for a file in a folder.

    Raises:
        UserError: If there is no such format.
        RunDirectoryError: If there is no such schedule, or no schedule is complete.
        StudyError: If the study is damaged.
    """
    study, setup = run.study(), run.setup()
    ranking = make_ranking(run, study=study, setup=setup)
    chosen = ranking.verdict.winner_trial if trial is None else trial
    if chosen is None:
        rule = f"holds no complete schedule: {schedule_words(ranking.counts)}"
        problem = Problem(key="", where=str(run.path), rule=rule, hint=ranking.verdict.next)
        raise RunDirectoryError([problem])
    file = schedule_file_of(ranking, chosen, study=study, setup=setup, where=str(run.path))
    return exporter(export_format).export(beside(file, folder))
