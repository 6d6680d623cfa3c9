"""A schedule of a run directory as a file that can be trained again anywhere."""

from __future__ import annotations

import json
from typing import Literal

from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.ranking.provenance import schedule_file_of
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.schedule_file import dump_schedule_file

ExportFormat = Literal["yaml", "json"]


def export_schedule(run: RunDirectory, trial: int | None, export_format: ExportFormat) -> str:
    """Write a schedule with its study's sections and its provenance.

    Raises:
        RunDirectoryError: If there is no such schedule, or no schedule is complete.
        StudyError: If the study is damaged.
    """
    study, setup = run.study(), run.setup()
    ranking = make_ranking(run, study=study, setup=setup)
    chosen = ranking.verdict.winner_trial if trial is None else trial
    if chosen is None:
        hint = "resume the search with `mbo-search resume`"
        problem = Problem(key="", where=str(run.path), rule="holds no complete schedule yet", hint=hint)
        raise RunDirectoryError([problem])
    file = schedule_file_of(ranking, chosen, study=study, setup=setup, where=str(run.path))
    if export_format == "yaml":
        return dump_schedule_file(file)
    return json.dumps(file.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"
