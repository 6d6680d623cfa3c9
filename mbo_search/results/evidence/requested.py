"""Cost of the schedules of a study from scratch, each one once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.schedule_groups import schedule_identity
from mbo_search.study.spec.effective import stages_in_force
from mbo_search.study.spec.schedule import Schedule


def requested_tokens(records: Sequence[TrialRecord]) -> int:
    """Add up what the distinct schedules of a study would have cost without sharing, up to where each one ended.

    A schedule that several records trained with one seed and one budget counts once, as far as the longest of them
    came: whoever has its result asks for it no second time. What a searcher tried for itself (`probe`) nobody asked
    for.
    """
    alike: dict[Hashable, list[TrialRecord]] = {}
    for record in records:
        if not record.is_probe:
            alike.setdefault(_outline(record), []).append(record)
    longest: dict[Hashable, int] = {}
    for group in alike.values():
        for key, record in _named(group):
            longest[key] = max(longest.get(key, 0), record.requested_tokens)
    return sum(longest.values())


def _outline(record: TrialRecord) -> Hashable:
    """Equal for all records of one schedule, and quickly made: a live table asks for it again and again."""
    stages = tuple((stage.optimizer, stage.lr, stage.share) for stage in record.schedule.stages)
    return record.seed, record.budget_multiple, stages


def _named(group: Sequence[TrialRecord]) -> list[tuple[Hashable, TrialRecord]]:
    """Records of one outline by the key of the state after their schedule, or else by what is trained."""
    if len(group) == 1:
        return [(_end(group[0]) or _outline(group[0]), group[0])]
    identities = [(_outline(record), _identity(record)) for record in group]
    ends = {identity: _end(record) for identity, record in zip(identities, group, strict=True) if _end(record)}
    return [(ends.get(identity, identity), record) for identity, record in zip(identities, group, strict=True)]


def _end(record: TrialRecord) -> str | None:
    """The key of the state after the whole schedule, where it was trained."""
    return record.boundaries[-1].node if record.state == "complete" and record.boundaries else None


def _identity(record: TrialRecord) -> str:
    return schedule_identity(Schedule(stages=stages_in_force(record.schedule.stages)))
