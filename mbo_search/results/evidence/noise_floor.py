"""The noise floor of a study: how far two equally good schedules end apart on one seed, by the seed alone.

Everything is compared seed by seed, so the noise that counts is that of a difference: the standard deviation of the
paired differences between schedules over common fresh seeds, pooled over all pairs. What seeds do to both schedules
alike drops out of it; one schedule contributes it divided by the square root of two.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from mbo_search.results.evidence.champions import Champions
from mbo_search.results.evidence.comparisons import order, paired_differences
from mbo_search.results.evidence.ranking_values import NoiseFloor
from mbo_search.results.records.schedule_groups import ScheduleRuns

_MOST_SCHEDULES = 20
_LARGEST_NATS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedNoise:
    """How far seeds move a difference of two losses.

    Attributes:
        sd_nats: Standard deviation of a paired difference over seeds, pooled over pairs of schedules.
        num_seeds: Fresh seeds that a pair had in common, at most.
    """

    sd_nats: float
    num_seeds: int


def paired_noise(groups: Sequence[ScheduleRuns]) -> PairedNoise | None:
    """Measure the noise of a difference; None where no two confirmed schedules have two fresh seeds in common."""
    confirmed = [runs for runs in order(groups) if runs.is_confirmed][:_MOST_SCHEDULES]
    pairs = (paired_differences(one, other) for one, other in itertools.combinations(confirmed, 2))
    samples = [differences for differences in pairs if len(differences) > 1]
    if not samples:
        return None
    squares = math.fsum((len(sample) - 1) * statistics.variance(sample) for sample in samples)
    sd_nats = math.sqrt(squares / sum(len(sample) - 1 for sample in samples))
    return PairedNoise(sd_nats=sd_nats, num_seeds=max(map(len, samples)))


def noise_floor(groups: Sequence[ScheduleRuns], best: Champions) -> NoiseFloor | None:
    """The noise of a difference, and beside it how far the best baseline alone ranges over its fresh seeds."""
    noise, shown = paired_noise(groups), best.baseline or best.strongest or best.challenger
    if noise is None or shown is None:
        return None
    losses = [record.val_loss for record in shown.fresh if record.val_loss is not None]
    return NoiseFloor(
        trial=shown.head.trial,
        label=shown.head.label,
        num_seeds=noise.num_seeds,
        sd_nats=noise.sd_nats,
        sd_percent=100 * math.expm1(min(noise.sd_nats, _LARGEST_NATS)),
        range_nats=max(losses) - min(losses) if losses else 0.0,
    )
