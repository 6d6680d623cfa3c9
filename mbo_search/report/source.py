"""Everything that a report is made of, read from a run directory once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.results.ranking_values import RankedTrial, Ranking
from mbo_search.results.records import CurveRow, TrialRecord
from mbo_search.results.run_directory import RunDirectory
from mbo_search.study.catalogue import OPTIMIZERS
from mbo_search.study.reference_lr import reference_lr
from mbo_search.study.segments import BudgetSteps, resolve_budget
from mbo_search.study.specs import Study

__all__ = ["ReportSource", "read_source", "showcase"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSource:
    """A study with all its results.

    Attributes:
        path: The run directory.
        study: The question.
        ranking: The answer.
        records: All readable records, by trial number.
        curves: Learning curve of each trial that has one.
        setup: What was resolved once for the study, as JSON.
        problems: Files that could not be read.
        database: SQLite file of the staged arm.
    """

    path: Path
    study: Study
    ranking: Ranking
    records: Mapping[int, TrialRecord]
    curves: Mapping[int, tuple[CurveRow, ...]]
    setup: Mapping[str, object]
    problems: tuple[Problem, ...]
    database: Path

    @property
    def budget(self) -> BudgetSteps:
        """The budget in steps."""
        spec = self.study.budget
        return resolve_budget(spec.tokens, spec.grid, self.study.train.batch_tokens)

    @property
    def reference_lrs(self) -> dict[str, float]:
        """Reference learning rate of every optimizer at the study's width."""
        return {name: reference_lr(self.study, name) for name in OPTIMIZERS}

    @property
    def ranked(self) -> tuple[RankedTrial, ...]:
        """The finished schedules, best first."""
        return tuple(row for row in self.ranking.trials if row.rank is not None)

    @property
    def losses(self) -> dict[int, float]:
        """What each finished schedule is ranked by, nats per token."""
        return {row.trial: row.val_loss for row in self.ranked if row.val_loss is not None}

    def finished(self) -> tuple[TrialRecord, ...]:
        """Records of the finished schedules, best first."""
        return tuple(self.records[row.trial] for row in self.ranked if row.trial in self.records)

    def finished_of(self, arm: str) -> tuple[TrialRecord, ...]:
        """Records of the finished schedules of an arm, best first."""
        return tuple(record for record in self.finished() if record.arm == arm)


def read_source(run: RunDirectory, ranking: Ranking) -> ReportSource:
    """Read a run directory.

    Args:
        run: The directory.
        ranking: Its ranking.

    Returns:
        Everything that can be read; damaged files are listed instead of failing the report.
    """
    scan = run.scan()
    problems: list[Problem] = list(scan.problems)
    curves: dict[int, tuple[CurveRow, ...]] = {}
    for record in scan.records:
        try:
            curves[record.trial] = tuple(run.curve(record.trial))
        except RunDirectoryError as error:
            problems += error.problems
    return ReportSource(
        path=run.path,
        study=run.study(),
        ranking=ranking,
        records={record.trial: record for record in scan.records},
        curves={trial: rows for trial, rows in curves.items() if rows},
        setup=_setup(run, problems),
        problems=tuple(problems),
        database=run.database,
    )


def _setup(run: RunDirectory, problems: list[Problem]) -> Mapping[str, object]:
    try:
        return run.setup_json()
    except RunDirectoryError as error:
        problems += error.problems
        return {}


def showcase(source: ReportSource, *, staged: int, others: int) -> Sequence[TrialRecord]:
    """The schedules worth showing one by one: the best staged ones, then the best of the other arms."""
    return (
        *source.finished_of("staged")[:staged],
        *source.finished_of("control")[:others],
        *source.finished_of("baseline")[:others],
    )
