"""Everything that a report is made of, read from a run directory once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mbo_search.advising.importance import Importance, importance_of, points_of
from mbo_search.data.metadata import DataMetadata
from mbo_search.data.summary.data_summary import DataSummary, summarize
from mbo_search.errors import Problem, RunDirectoryError
from mbo_search.model.size import num_parameters_told
from mbo_search.report.style.i18n import Strings
from mbo_search.results.evidence.ranking_values import RankedTrial, Ranking
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.records.fitness import ranked_by
from mbo_search.results.records.records import Arm, Curve, TrialRecord
from mbo_search.results.records.run_data import metadata_of
from mbo_search.results.records.run_directory import RecordScan, RunDirectory
from mbo_search.results.records.schedule_groups import group_by_schedule
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.space.ladder import asked_space, question_of
from mbo_search.study.space.space import parameters
from mbo_search.study.spec.reference_lr import reference_lr
from mbo_search.study.spec.rungs import Rung, rungs_below
from mbo_search.study.spec.segments import BudgetSteps
from mbo_search.study.study import Study
from mbo_search.system.cache import user_cache
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.outcome import CurveRow, StepRow
from mbo_search.units import format_count


@dataclass(frozen=True, kw_only=True)
class ReportSource:
    """A study with all its results.

    Attributes:
        path: The run directory.
        study: The question.
        ranking: The answer.
        records: All readable records, by trial number.
        rungs: The freedom that each schedule of the search needs, by trial number.
        fresh: Complete runs of each schedule on fresh seeds, by the number of its search trial.
        curves: Learning curve of each trial that has one.
        steps: The course of each trial's training, thinned, where it was recorded.
        setup: What was resolved once for the study.
        metadata: What is known of the data; None if it is not on this machine any more.
        problems: Files that could not be read.
    """

    path: Path
    study: Study
    ranking: Ranking
    records: Mapping[int, TrialRecord]
    rungs: Mapping[int, Rung]
    fresh: Mapping[int, tuple[TrialRecord, ...]]
    curves: Mapping[int, tuple[CurveRow, ...]]
    steps: Mapping[int, tuple[StepRow, ...]]
    setup: TrainSetup
    metadata: DataMetadata | None
    problems: tuple[Problem, ...]

    @property
    def budget(self) -> BudgetSteps:
        """The budget in steps."""
        return self.setup.budget()

    @cached_property
    def data(self) -> DataSummary | None:
        """What became of the text; None if neither the run directory nor this machine's cache knows."""
        if self.metadata is None:
            return None
        summary = summarize(self.metadata, self.study.data, schedule_tokens=self.budget.total_tokens)
        best = next(iter(self.finished()), None)
        return summary if best is None else summary.with_epochs(best.source_epochs)

    @property
    def num_parameters(self) -> int | None:
        """Parameters of the model; None where a foreign trainer does not tell them."""
        return num_parameters_told(self.setup.model, self.setup.vocab_size)

    def parameters_text(self, text: Strings) -> str:
        """The parameters of the model as a word of a sentence."""
        if self.num_parameters is None:
            return str(text["environment"]["untold"])
        return format_count(self.num_parameters)

    @property
    def reference_lrs(self) -> dict[str, float]:
        """Reference learning rate of every optimizer at the study's width."""
        return {name: reference_lr(self.study, name) for name in OPTIMIZERS}

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Names of the study's stages."""
        return tuple(stage.name for stage in self.study.stages)

    @cached_property
    def importance(self) -> Importance | None:
        """Importance of each setting of the question's own search; None if there are too few trials."""
        return importance_of(points_of(self.finished_of("staged")), parameters(asked_space(self.study)))

    @property
    def importance_by_name(self) -> dict[str, float]:
        """The same by the name of the setting; empty where it is not known."""
        return {} if self.importance is None else {name: share for _, name, share in self.importance.shares}

    @property
    def ranked(self) -> tuple[RankedTrial, ...]:
        """The finished schedules, best first."""
        return tuple(row for row in self.ranking.trials if row.rank is not None)

    @property
    def losses(self) -> dict[int, float]:
        """Loss by which each finished schedule is ranked, nats per token."""
        return {row.trial: row.val_loss for row in self.ranked if row.val_loss is not None}

    def finished(self) -> tuple[TrialRecord, ...]:
        """Records of the finished schedules, best first."""
        return tuple(self.records[row.trial] for row in self.ranked if row.trial in self.records)

    def finished_of(self, arm: Arm) -> tuple[TrialRecord, ...]:
        """Records of the finished schedules of a search, best first."""
        return tuple(record for record in self.finished() if record.arm == arm)

    def finished_on(self, rung: Rung) -> tuple[TrialRecord, ...]:
        """Records of the finished schedules that need exactly the freedom of a rung, best first."""
        return tuple(record for record in self.finished() if self.rungs[record.trial] == rung)

    @property
    def question(self) -> Rung:
        """The freedom that the study asks about."""
        return self.ranking.verdict.question or question_of(self.study)


def read_source(
    run: RunDirectory,
    ranking: Ranking | None = None,
    *,
    study: Study | None = None,
    setup: TrainSetup | None = None,
    scan: RecordScan | None = None,
) -> ReportSource:
    """Read a run directory; only what the caller does not pass is read or ranked.

    Raises:
        RunDirectoryError: If its setup is damaged.
        StudyError: If its study is damaged.
    """
    study = run.study() if study is None else study
    setup = run.setup() if setup is None else setup
    scan = run.scan() if scan is None else scan
    curves, damaged = _curves(run, scan.records)
    groups = group_by_schedule(scan.records, ranked_by(study.search.objectives))
    return ReportSource(
        path=run.path,
        study=study,
        ranking=make_ranking(run, study=study, setup=setup, records=scan.records) if ranking is None else ranking,
        records={record.trial: record for record in scan.records},
        rungs={record.trial: runs.rung for runs in groups for record in runs.records},
        fresh={runs.head.trial: runs.fresh for runs in groups},
        curves={trial: curve.rows for trial, curve in curves.items() if curve.rows},
        steps={trial: curve.steps for trial, curve in curves.items() if curve.steps},
        setup=setup,
        metadata=metadata_of(run, user_cache()),
        problems=(*scan.problems, *damaged),
    )


def _curves(run: RunDirectory, records: Sequence[TrialRecord]) -> tuple[dict[int, Curve], list[Problem]]:
    """The learning curves of trials, and what could not be read."""
    curves: dict[int, Curve] = {}
    problems: list[Problem] = []
    for record in records:
        try:
            curves[record.trial] = run.whole_curve(record.trial)
        except RunDirectoryError as error:
            problems += error.problems
    return curves, problems


def showcase(source: ReportSource, *, asked: int, others: int) -> Sequence[TrialRecord]:
    """The schedules worth showing one by one: the best of the question, then those of the rungs below."""
    below = reversed(rungs_below(source.question))
    lower = (record for rung in below for record in source.finished_on(rung)[:others])
    return (*source.finished_on(source.question)[:asked], *lower)
