"""Rounds of confirming: how often champions were chosen, and what each choice may still spend of the error.

A search that continues after a confirmation may choose other champions, and a study that confirms whatever looks
best this time would find a false yes sooner or later. So each choice of champions is a round, and each later round
has less of the error to spend. The rounds are read off the order of the trials: a round ends where search trials
follow confirm runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.results.evidence.champions import Champions, champions
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.schedule_groups import ScheduleRuns
from mbo_search.study.spec.rungs import Rung


def last_search_trials(records: Sequence[TrialRecord]) -> tuple[int, ...]:
    """The last search trial before each round's confirm runs.

    >>> from mbo_search.results.records.records import TrialRecord
    >>> arms = ["staged", "staged", "confirm", "confirm", "staged", "confirm"]
    >>> last_search_trials([TrialRecord.model_construct(trial=n, arm=arm) for n, arm in enumerate(arms)])
    (1, 4)
    """
    found: list[int] = []
    last_search: int | None = None
    for record in sorted(records, key=lambda record: record.trial):
        if record.is_search:
            last_search = record.trial
        elif record.arm == "confirm" and last_search is not None and last_search not in found:
            found.append(last_search)
    return tuple(found)


def champions_by_round(
    groups: Sequence[ScheduleRuns], records: Sequence[TrialRecord], question: Rung
) -> tuple[Champions, ...]:
    """The champions that each round so far has confirmed."""
    return tuple(
        champions([runs for runs in groups if runs.head.trial <= end], question)
        for end in last_search_trials(records)
    )


def round_of_pair(rounds: Sequence[Champions], pair: tuple[int, int]) -> int:
    """The first round in which two schedules were champions against one another.

    The same pair in a later round is the same comparison, and its test may be looked at as often as one likes; so
    it keeps what it was given. A pair that no round has chosen yet begins the next one.
    """
    for number, known in enumerate(rounds, start=1):
        trials = [runs.head.trial for runs in known.declared]
        if known.challenger is not None and trials[0] == pair[0] and pair[1] in trials[1:]:
            return number
    return len(rounds) + 1
