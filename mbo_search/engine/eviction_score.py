"""Eviction score: how often each cached state is likely to be used again, judged by the trials so far.

A searcher continues from prefixes that did well and that many schedules share. After the end of a schedule nothing
is trained, so such a state is worth next to nothing, except those of the winners, which are kept anyway.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from mbo_search.results.records.fitness import LOSS, fitness, order_key
from mbo_search.results.records.records import TrialRecord

END_USES = 0.02
"""Uses expected of the state after a whole schedule: a sample of text, a second look."""

GOOD_SHARE = 0.25
"""Share of the complete trials that count as good; a searcher continues from where they have been."""

GOOD_WEIGHT = 4.0


def expected_uses(records: Sequence[TrialRecord], by: str = LOSS) -> Mapping[str, float]:
    """Expected uses by key of the state, of all that the trials have passed; `by` says which of them did well."""
    good = _good_trials(records, by)
    passed: defaultdict[str, float] = defaultdict(float)
    ends: set[str] = set()
    for record in records:
        weight = GOOD_WEIGHT if record.trial in good else 1.0
        last = len(record.schedule.stages) - 1
        for boundary in record.boundaries:
            if boundary.stage == last:
                ends.add(boundary.node)
            else:
                passed[boundary.node] += weight
    return {**dict.fromkeys(ends, END_USES), **passed}


def _good_trials(records: Sequence[TrialRecord], by: str) -> frozenset[int]:
    ordered = sorted(order_key(record, by) for record in records if fitness(record, by) is not None)
    return frozenset(trial for _, trial in ordered[: max(1, round(GOOD_SHARE * len(ordered)))])
