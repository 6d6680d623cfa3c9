"""How often each cached state is likely to be asked for again, judged by the trials so far.

A searcher goes on from beginnings that did well and that many schedules share. Behind the end of a schedule nothing
is trained, so such a state is worth next to nothing, those of the winners aside, which are kept anyhow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from mbo_search.results.records.records import TrialRecord

END_USES = 0.02
"""Uses expected of the state behind a whole schedule: a sample of text, a second look."""

GOOD_SHARE = 0.25
"""Share of the complete trials that count as good; a searcher goes on from where they have been."""

GOOD_WEIGHT = 4.0


def expected_uses(records: Sequence[TrialRecord]) -> Mapping[str, float]:
    """Expected uses by key of the state, of all that the trials have passed."""
    good = _good_trials(records)
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


def _good_trials(records: Sequence[TrialRecord]) -> frozenset[int]:
    losses = sorted((record.val_loss, record.trial) for record in records if record.val_loss is not None)
    return frozenset(trial for _, trial in losses[: max(1, round(GOOD_SHARE * len(losses)))])
