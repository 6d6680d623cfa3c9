"""Whether a search can end by itself: its searcher expects less than the noise hides.

The searcher says with each proposal how much it expects the best loss to improve by the best schedule that is
left. When that stays below the noise floor for a few proposals in a row, whatever is found from there on could not
be told from luck.

The noise floor is that of the ranking, the spread of differences over fresh seeds, where schedules were repeated on
them; else the usual gap between the loss of a trained model and that of its averaged weights, for averaging takes
away the noise of the last steps; else a small share of the best loss.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from mbo_search.engine.tasks.task import TrialTask
from mbo_search.results.evidence.noise import paired_noise
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.schedule_groups import group_by_schedule

PATIENCE = 5
"""Proposals in a row that expect less than the noise floor before the search ends."""

LEAST_GAPS = 5
"""Complete trials whose gaps make a noise floor."""

SHARE_OF_LOSS = 0.0005
LEAST_FLOOR = 1e-4
"""Nats."""


def noise_floor(records: Sequence[TrialRecord]) -> float | None:
    """Smallest difference of losses that is worth looking for, in nats; None before any trial was complete."""
    complete = [record for record in records if record.val_loss is not None]
    if not complete:
        return None
    repeats = paired_noise(group_by_schedule([record for record in records if record.arm == "confirm"]))
    if repeats is not None:
        return max(repeats.sd_nats, LEAST_FLOOR)
    gaps = [
        abs(boundary.loss - boundary.averaged_loss)
        for boundary in (record.boundaries[-1] for record in complete)
        if boundary.averaged_loss is not None and boundary.averaged_loss != boundary.loss
    ]
    if len(gaps) >= LEAST_GAPS:
        return max(statistics.median(gaps), LEAST_FLOOR)
    return max(SHARE_OF_LOSS * min(record.val_loss or 0.0 for record in complete), LEAST_FLOOR)


def is_enough(tasks: Sequence[TrialTask], records: Sequence[TrialRecord]) -> bool:
    """Whether the last proposals expected less than the noise floor."""
    gains = [task.expected_gain for task in tasks if task.expected_gain is not None][-PATIENCE:]
    if len(gains) < PATIENCE:
        return False
    floor = noise_floor(records)
    return floor is not None and max(gains) < floor
