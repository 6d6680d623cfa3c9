"""Schedules with their provenance, ready for export: `best.yaml`, and any other complete trial."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.results.evidence.ranking_values import RankedTrial, Ranking
from mbo_search.study.files.schedule_file import Provenance, ScheduleFile, StudySections, sections_of
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.study import Study
from mbo_search.train.setup.setup import TrainSetup

_PACKAGES = ("mbo-search", "numpy", "pytorch-optimizer", "tokenizers", "torch")


def schedule_file_of(ranking: Ranking, trial: int, *, study: Study, setup: TrainSetup, where: str) -> ScheduleFile:
    """Describe a complete schedule with all that is needed to train it again.

    Raises:
        RunDirectoryError: If there is no such schedule in the run directory `where`, or it is not complete.
    """
    row = _row(ranking, trial, where)
    seed = row.runs[0].seed
    assert row.val_loss is not None, "a row with a rank has a loss"
    return ScheduleFile(
        study=_sections(study, setup),
        schedule=Schedule(stages=row.stages),
        provenance=Provenance(
            trial=row.trial,
            arm=row.arm,
            seed=seed,
            val_loss=row.val_loss,
            val_perplexity=row.val_perplexity,
            confirmed=row.confirmed,
            search_loss=row.runs[0].val_loss,
            data_fingerprint=setup.data_fingerprint,
            judged_fingerprint=setup.judged_fingerprint,
            root_key=setup.root_key(seed),
            versions=package_versions(),
            numerics=dict(setup.numerics),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            scores=row.scores,
        ),
    )


def _sections(study: Study, setup: TrainSetup) -> StudySections:
    """The sections of a study; where its budget was rounded for steps that only others take, as it was rounded."""
    sections = sections_of(study)
    if setup.unit_steps == 1:
        return sections
    budget = sections.budget.model_copy(update={"tokens": setup.budget().total_tokens})
    return sections.model_copy(update={"budget": budget})


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that training rests on, as far as they are installed."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _row(ranking: Ranking, trial: int, where: str) -> RankedTrial:
    row = next((row for row in ranking.trials if row.trial == trial), None)
    complete = [str(row.trial) for row in ranking.trials if row.rank is not None]
    shown = ", ".join(complete[:10]) + (", ..." if len(complete) > 10 else "")
    hint = f"complete schedules, best first: {shown or 'none yet'}"
    if row is None:
        rule = "is not a schedule of this study"
        raise RunDirectoryError([Problem(key="trial", value=str(trial), rule=rule, hint=hint, where=where)])
    if row.rank is None:
        what = "without the metric that the study ranks by" if row.state == "complete" else row.state
        rule = f"is {what}; only complete schedules can be exported"
        raise RunDirectoryError([Problem(key="trial", value=str(trial), rule=rule, hint=hint, where=where)])
    return row
