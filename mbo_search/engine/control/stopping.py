"""The end of a search: at its first limit, or when its searcher expects less than the noise hides.

The searcher says with each proposal how much it expects the best loss to improve by the best schedule that is
left. When that stays below the resolution for a few proposals in a row, whatever is found from there on could not
be told from luck.

The resolution is the spread of differences over fresh seeds, where schedules were repeated on them; else the usual
gap between the loss of a trained model and that of its averaged weights, because averaging takes away the noise of
the last steps; else a small share of the best loss.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from mbo_search.engine.tasks import TrialTask
from mbo_search.results.evidence.noise import paired_noise
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.schedule_groups import group_by_schedule
from mbo_search.study.spec.sections.searching import SearchSpec

PATIENCE = 5
"""Proposals in a row that expect less than the resolution before the search ends."""

LEAST_GAPS = 5
"""Complete trials whose gaps make a resolution."""

SHARE_OF_LOSS = 0.0005
LEAST_NATS = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Resources that a search has used so far.

    Attributes:
        trials: Trials begun, baselines included, confirm runs not.
        tokens: Charged tokens executed or wasted by them, plus what those in flight are expected to execute.
        seconds: Wall-clock seconds that drivers have run.
    """

    trials: int
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingCriteria:
    """Limits of a search; None: no limit.

    Attributes:
        trials: Schedules, all arms and baselines together.
        tokens: Executed tokens; the trial that crosses the limit is finished.
        seconds: Wall-clock seconds after which no trial begins.
    """

    trials: int | None = None
    tokens: int | None = None
    seconds: float | None = None

    def reached(self, used: Usage) -> str | None:
        """Name the limit that forbids another trial, or None.

        >>> limits = StoppingCriteria(trials=4, tokens=1000)
        >>> limits.reached(Usage(trials=3, tokens=999, seconds=1e9)) is None
        True
        >>> limits.reached(Usage(trials=3, tokens=1000, seconds=0.0))
        'budget'
        """
        if self.trials is not None and used.trials >= self.trials:
            return "trials"
        if self.tokens is not None and used.tokens >= self.tokens:
            return "budget"
        if self.seconds is not None and used.seconds >= self.seconds:
            return "hours"
        return None


def stopping_criteria(search: SearchSpec) -> StoppingCriteria:
    """The limits that a study sets."""
    seconds = None if search.hours is None else search.hours * 3600
    return StoppingCriteria(trials=search.trials, tokens=search.budget, seconds=seconds)


def has_converged(tasks: Sequence[TrialTask], records: Sequence[TrialRecord]) -> bool:
    """True if the last proposals expected less than the resolution."""
    gains = [task.expected_gain for task in tasks if task.expected_gain is not None][-PATIENCE:]
    if len(gains) < PATIENCE:
        return False
    resolution = loss_resolution(records)
    return resolution is not None and max(gains) < resolution


def loss_resolution(records: Sequence[TrialRecord]) -> float | None:
    """Smallest difference of losses that is worth looking for, in nats; None before any trial was complete."""
    complete = [record for record in records if record.val_loss is not None]
    if not complete:
        return None
    repeats = paired_noise(group_by_schedule([record for record in records if record.arm == "confirm"]))
    if repeats is not None:
        return max(repeats.sd_nats, LEAST_NATS)
    gaps = [
        abs(boundary.loss - boundary.averaged_loss)
        for boundary in (record.boundaries[-1] for record in complete)
        if boundary.averaged_loss is not None and boundary.averaged_loss != boundary.loss
    ]
    if len(gaps) >= LEAST_GAPS:
        return max(statistics.median(gaps), LEAST_NATS)
    return max(SHARE_OF_LOSS * min(record.val_loss or 0.0 for record in complete), LEAST_NATS)
