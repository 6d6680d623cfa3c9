"""The file for optuna-dashboard: made anew from the records each time, and never read back.

The Optuna studies that the searchers use stay what they are. This one is for looking at: whatever is changed in it,
such as a note, is gone when it is made again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from mbo_search.engine.tasks import TrialTask, read_tasks
from mbo_search.export.dashboard.notes import note_attributes, study_note, trial_note
from mbo_search.export.dashboard.settings import distributions_of
from mbo_search.export.dashboard.tables import StudyTables
from mbo_search.export.dashboard.trials import TrialsAsSeen, in_order
from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.ranking.repeats import repeat_folder
from mbo_search.results.records.driving import is_driven
from mbo_search.results.records.notes import read_notes
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.results.records.schedule_groups import group_by_schedule
from mbo_search.study.catalogue.metrics import METRICS
from mbo_search.study.files.study_file import dump_study
from mbo_search.study.spec.reference_lr import reference_lrs
from mbo_search.study.spec.sections.searching import Objective
from mbo_search.study.study import Study

METRIC_NAMES: Mapping[Objective, str] = MappingProxyType(
    {"loss": "validation loss", "seconds": "seconds of training"}
)
"""Names of what is minimized; a metric of a task has another one."""


def write_dashboard(run: RunDirectory) -> Path:
    """Write `dashboard.db` of a run directory: its search and, where there are some, its independent repeats.

    Returns:
        The file. It appears whole or not at all, and one that was there is replaced.

    Raises:
        RunDirectoryError: If the directory is damaged.
        StudyError: If its study is.
        OSError: If the file cannot be written.
    """
    tables = StudyTables()
    for searched in (run, *_repeats(run)):
        _add_study(tables, searched)
    target = run.path / "dashboard.db"
    tables.save(target)
    return target


def _repeats(run: RunDirectory) -> list[RunDirectory]:
    numbers = range(2, run.study().search.repeats + 1)
    folders = [repeat_folder(run.path, number) for number in numbers]
    return [RunDirectory.open(folder) for folder in folders if (folder / "study.yaml").is_file()]


def _add_study(tables: StudyTables, run: RunDirectory) -> None:
    study, records = run.study(), run.scan().records
    ranking = make_ranking(run, study=study, records=records)
    page = run.report_html.absolute().as_uri()
    metric_names = [_metric_name(objective) for objective in study.search.objectives]
    study_id = tables.add_study(study.study, metric_names, _study_attributes(study, ranking, page))
    tables.add_system_attributes(study_id, note_attributes(study_note(study, ranking, page)))
    recorded = {record.trial for record in records}
    tasks = [task for task in read_tasks(run.trials) if task.trial not in recorded]
    written = read_notes(run.path)
    for trial, spec in in_order(_view_of(run, study, records, tasks), records, tasks):
        trial_id = tables.add_trial(study_id, trial)
        if spec is not None:
            note = trial_note(spec, page, written.get(spec.trial))
            tables.add_system_attributes(study_id, note_attributes(note, trial_id))


def _view_of(
    run: RunDirectory, study: Study, records: Sequence[TrialRecord], tasks: Sequence[TrialTask]
) -> TrialsAsSeen:
    return TrialsAsSeen(
        objectives=study.search.objectives,
        reference_lrs=reference_lrs(study),
        rungs={one.trial: runs.rung for runs in group_by_schedule(records) for one in runs.records},
        distributions=distributions_of([*records, *tasks]),
        is_driven=is_driven(run.path),
    )


def _metric_name(objective: Objective) -> str:
    """All values of the page are minimized, so those of a metric that should be high have their sign changed."""
    if objective in METRIC_NAMES:
        return METRIC_NAMES[objective]
    return f"-{objective}" if METRICS[objective].direction == "higher" else objective


def _study_attributes(study: Study, ranking: Ranking, page: str) -> dict[str, str | int]:
    verdict = ranking.verdict
    found = {
        "verdict": verdict.sentence,
        "ladder": verdict.ladder_sentence,
        "next": verdict.next,
        "recommended trial": verdict.winner_trial,
        "scale": ranking.scale,
        "report": page,
        "study": dump_study(study),
    }
    return {name: value for name, value in found.items() if value not in (None, "")}
