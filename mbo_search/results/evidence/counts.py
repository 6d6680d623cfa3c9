"""The one set of counts of a study: schedules by how they ended, probes, runs on fresh seeds, and their tokens.

Terminal, page and JSON take their counts from this value and from nowhere else. Every number adds up: the schedules
are the sum of their endings, and the tokens requested are those trained and those saved by sharing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Literal

from mbo_search.results.evidence.requested import requested_tokens
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.schedule_groups import schedule_identity
from mbo_search.study.spec.base import Description

Ending = Literal["complete", "stopped", "diverged", "out_of_memory", "failed", "interrupted"]
"""How a schedule ended, as people are told."""

ENDINGS: tuple[Ending, ...] = ("complete", "stopped", "diverged", "out_of_memory", "failed", "interrupted")


class TokenCounts(Description):
    """Tokens of a part of a study.

    Attributes:
        requested: What its different schedules would have cost without sharing, each as far as it came.
        trained: What was trained and kept, once, probes included.
        saved: What sharing saved: requested less trained; negative where probes and repetitions cost more.
        wasted: What was trained twice or thrown away.
    """

    requested: int = 0
    trained: int = 0
    saved: int = 0
    wasted: int = 0


class StudyCounts(Description):
    """What a study has tried so far.

    Attributes:
        schedules: Schedules of the search that ended, one a trial; the sum of the six endings below.
        complete: Those that trained to the end.
        stopped: Those that the pruner judged hopeless at a boundary.
        diverged: Those whose loss exploded or became infinite.
        out_of_memory: Those that did not fit into memory.
        failed: Those that broke: an error, a worker that hung or was lost.
        interrupted: Those that were stopped and continue at the next `resume`.
        different: Different schedules among them; the others repeat one of these.
        different_complete: Different schedules that completed.
        probes: Trials of a searcher that were meant to end after a stage; no schedules.
        confirm_runs: Runs on fresh seeds, those for equivalent tokens and for attribution included.
        confirm_complete: Those of them that trained to the end.
        search: Tokens of the search, probes included.
        confirmation: Tokens of the runs on fresh seeds.
    """

    schedules: int = 0
    complete: int = 0
    stopped: int = 0
    diverged: int = 0
    out_of_memory: int = 0
    failed: int = 0
    interrupted: int = 0
    different: int = 0
    different_complete: int = 0
    probes: int = 0
    confirm_runs: int = 0
    confirm_complete: int = 0
    search: TokenCounts = TokenCounts()
    confirmation: TokenCounts = TokenCounts()

    @property
    def unfinished(self) -> tuple[tuple[Ending, int], ...]:
        """Endings other than complete that there were, with their numbers."""
        named: tuple[tuple[Ending, int], ...] = (
            ("stopped", self.stopped),
            ("diverged", self.diverged),
            ("out_of_memory", self.out_of_memory),
            ("failed", self.failed),
            ("interrupted", self.interrupted),
        )
        return tuple((ending, count) for ending, count in named if count)


def ending_of(record: TrialRecord) -> Ending:
    """How a trial ended, in the words of the counts."""
    if record.state == "complete" or record.state == "interrupted":
        return record.state
    if record.reason in ("non_finite", "loss_explosion"):
        return "diverged"
    if record.reason == "out_of_memory":
        return "out_of_memory"
    return "stopped" if record.state == "pruned" else "failed"


def count_study(records: Sequence[TrialRecord]) -> StudyCounts:
    """Count what a study has tried."""
    search = [record for record in records if record.is_search]
    schedules = [record for record in search if not record.is_probe]
    confirms = [record for record in records if not record.is_search]
    endings = Counter(map(ending_of, schedules))
    whole, searched = token_counts(records), token_counts(search)
    return StudyCounts(
        schedules=len(schedules),
        **{ending: endings[ending] for ending in ENDINGS},
        different=_num_different(schedules),
        different_complete=_num_different([record for record in schedules if record.state == "complete"]),
        probes=len(search) - len(schedules),
        confirm_runs=len(confirms),
        confirm_complete=sum(record.state == "complete" for record in confirms),
        search=searched,
        confirmation=_less(whole, searched),
    )


def token_counts(records: Sequence[TrialRecord]) -> TokenCounts:
    """Add up the tokens of some records."""
    requested = requested_tokens(records)
    trained = sum(record.cost.executed_tokens for record in records)
    wasted = sum(record.cost.wasted_tokens for record in records)
    return TokenCounts(requested=requested, trained=trained, saved=requested - trained, wasted=wasted)


def _less(whole: TokenCounts, part: TokenCounts) -> TokenCounts:
    """The rest of some tokens, so that a part and its rest always are the whole."""
    return TokenCounts(
        requested=whole.requested - part.requested,
        trained=whole.trained - part.trained,
        saved=whole.saved - part.saved,
        wasted=whole.wasted - part.wasted,
    )


def _num_different(records: Sequence[TrialRecord]) -> int:
    """Count different schedules; only those that look alike at a glance are compared in full."""
    alike: dict[Hashable, list[TrialRecord]] = {}
    for record in records:
        glance = tuple((stage.optimizer, stage.lr, stage.share) for stage in record.schedule.stages)
        alike.setdefault(glance, []).append(record)
    return sum(
        1 if len(group) == 1 else len({schedule_identity(record.schedule) for record in group})
        for group in alike.values()
    )
