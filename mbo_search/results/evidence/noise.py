"""Noise that seeds add to the difference of two schedules, in this study and in earlier ones of its kind.

Everything is compared seed by seed, so the noise that counts is that of a difference: the standard deviation of the
paired differences between schedules over common fresh seeds, pooled over pairs. What seeds do to both schedules
alike drops out of it; one schedule contributes it divided by the square root of two.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mbo_search.results.evidence.champions import Champions
from mbo_search.results.evidence.comparisons import order, paired_differences
from mbo_search.results.evidence.ranking_values import NoiseFloor, PairComparison, Ranking
from mbo_search.results.records.schedule_groups import ScheduleRuns
from mbo_search.results.statistics.paired import FEWEST_SEEDS, nats_of_percent, seeds_to_detect
from mbo_search.results.statistics.sequential import SequentialTest
from mbo_search.study.spec.base import Description

_MOST_SCHEDULES = 20
_LARGEST_NATS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedNoise:
    """Noise of a difference of two losses over seeds.

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


def difference_noise(comparisons: Sequence[PairComparison]) -> float | None:
    """Standard deviation of a difference between two schedules over seeds, pooled; None if never measured."""
    tests = [one.test for one in comparisons if one.test is not None and one.role != "ladder"]
    spreads = [(test.sd_nats, test.num_seeds - 1) for test in tests if test.sd_nats is not None]
    freedom = sum(count for _, count in spreads)
    return math.sqrt(math.fsum(sd**2 * count for sd, count in spreads) / freedom) if freedom else None


class EarlierNoise(Description):
    """Noise in earlier confirmations, to plan the next one.

    Attributes:
        folders: Names of the run directories that it comes from.
        sd_nats: Standard deviation of a difference between two schedules over seeds, pooled.
        worthwhile_percent: The gain in perplexity that is to be found.
        seeds: Fresh seeds with which a paired test finds it four times out of five; null if more than 10,000.
        documents: Judged documents of those studies, at least; null where none was judged on enough of them.
        document_se_nats: What the choice of so many documents adds to the error of a difference, pooled; null too.
    """

    folders: tuple[str, ...]
    sd_nats: float
    worthwhile_percent: float
    seeds: int | None
    documents: int | None = None
    document_se_nats: float | None = None


def noise_of_earlier(rankings: Mapping[str, Ranking], worthwhile_percent: float) -> EarlierNoise | None:
    """Learn from the rankings of earlier studies, by the name of their folders; None if none was confirmed."""
    used = {name: one for name, one in rankings.items() if difference_noise(one.comparisons) is not None}
    comparisons = [comparison for ranking in used.values() for comparison in ranking.comparisons]
    sd_nats = difference_noise(comparisons)
    if sd_nats is None:
        return None
    seeds = seeds_to_detect(nats_of_percent(worthwhile_percent), sd_nats)
    documents, document_se_nats = _documents(comparisons)
    return EarlierNoise(
        folders=tuple(used),
        sd_nats=sd_nats,
        worthwhile_percent=worthwhile_percent,
        seeds=None if seeds is None else max(seeds, FEWEST_SEEDS),
        documents=documents,
        document_se_nats=document_se_nats,
    )


def _documents(comparisons: Sequence[PairComparison]) -> tuple[int | None, float | None]:
    """Documents of the declared comparisons, and the error that their choice adds, in nats."""
    tests = [one.test for one in comparisons if one.role == "declared" and isinstance(one.test, SequentialTest)]
    known = [
        (test.num_documents, test.document_se_nats)
        for test in tests
        if test.num_documents is not None and test.document_se_nats is not None
    ]
    if not known:
        return None, None
    squares = math.fsum(error**2 for _, error in known)
    return min(count for count, _ in known), math.sqrt(squares / len(known))
