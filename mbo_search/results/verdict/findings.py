"""What a verdict is made of: the facts that its sentences and its next step are chosen by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mbo_search.results.evidence.counts import StudyCounts
from mbo_search.results.evidence.ranking_values import Difference, LadderRung, PairComparison
from mbo_search.results.evidence.score_comparisons import ScoreTest
from mbo_search.results.records.schedule_groups import ScheduleRuns
from mbo_search.results.statistics.equivalent_tokens import TokenRatio
from mbo_search.results.statistics.paired import Answer
from mbo_search.results.statistics.sequential import SequentialTest
from mbo_search.results.verdict.outlook import Outlook
from mbo_search.study.spec.rungs import Rung


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Facts for the sentences of a verdict.

    Attributes:
        question: The freedom that the study asks about.
        has_opponents: Whether there is anything to beat.
        challenger: The question's champion.
        winner: The schedule at the top of the ranking.
        closest: The comparison with the smallest gain.
        opponents: Rung of each opponent, by trial.
        tests: The declared tests, one an opponent; empty unless all were made.
        difference: The smallest gain.
        answer: The answer.
        unfinished: Fresh seeds on which champions did not complete, by trial.
        objections: What forbids a yes besides the numbers.
        num_seeds: Fresh seeds that all comparisons have.
        planned_seeds: Fresh seeds that the study wants.
        searched_tokens: What the question's side is charged with.
        worthwhile_percent: Smallest gain worth having.
        tokens: How much text the gain is worth.
        dimensions: Numbers and names that the question's side chooses, and that the opponents do at most.
        epochs: How often the text is read; None: not known.
        counts: What the study has tried.
        simplest: The champion of the lowest rung that none above it beats beyond doubt.
        outlook: What would decide an undecided test.
    """

    question: Rung
    has_opponents: bool
    challenger: ScheduleRuns | None
    winner: ScheduleRuns | None
    closest: PairComparison | None
    opponents: Mapping[int, Rung]
    tests: tuple[SequentialTest | ScoreTest, ...]
    difference: Difference | None
    answer: Answer | None
    unfinished: Mapping[int, int]
    objections: tuple[str, ...]
    num_seeds: int | None
    planned_seeds: int | None
    searched_tokens: int
    worthwhile_percent: float
    tokens: TokenRatio | None
    dimensions: tuple[int | None, int | None]
    epochs: float | None
    counts: StudyCounts
    simplest: LadderRung | None
    outlook: Outlook | None

    @property
    def is_interim(self) -> bool:
        """Whether fewer seeds are done than planned."""
        return self.num_seeds is not None and self.planned_seeds is not None and self.num_seeds < self.planned_seeds

    @property
    def forbids_yes(self) -> bool:
        """Whether the numbers alone would be a yes, and something else speaks against it."""
        return bool(self.objections and self.tests) and all(test.better_at is not None for test in self.tests)

    @property
    def num_documents(self) -> int | None:
        """Documents that every interval covers; None where one says nothing about other text."""
        counts = [_text_size(test) for test in self.tests]
        known = [count for count in counts if count is not None]
        return min(known) if known and len(known) == len(counts) else None


def _text_size(test: SequentialTest | ScoreTest) -> int | None:
    """Documents, or examples, that an interval covers."""
    return test.num_documents if isinstance(test, SequentialTest) else test.num_examples
