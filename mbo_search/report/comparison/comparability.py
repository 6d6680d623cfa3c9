"""How far schedules from several studies can be compared, in which order they stand, and on which seeds."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mbo_search.report.comparison.compared_runs import ComparedRun
from mbo_search.report.source import ReportSource
from mbo_search.results.records.fitness import LOSS
from mbo_search.results.statistics.paired import PairedTest, paired_test

Difference = Literal["text", "windows", "model", "budget"]
"""What forbids to rank schedules against each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparability:
    """Extent to which results can be compared.

    Attributes:
        unit: The unit in which they can be compared; None: not at all.
        seeds: Seeds that all were trained with, on which they are compared; fresh ones if there are two of them,
            else the search seed; empty: none in common, so each counts by what its own study says.
        num_fresh: Fresh seeds that all were trained with.
        apart: Differences by which a better result says nothing about the schedules.
        warnings: Keys of the sentences that the reader must see.
    """

    unit: Literal["perplexity", "bits_per_byte"] | None
    seeds: tuple[int, ...]
    num_fresh: int
    apart: tuple[Difference, ...]
    warnings: tuple[str, ...]

    @property
    def is_ranked(self) -> bool:
        """Whether one schedule can be called better than another."""
        return not self.apart


def comparability(runs: Sequence[ComparedRun]) -> Comparability:
    """Find out whether the runs were measured alike.

    Equal evaluation windows over equal tokens compare in every unit. Other tokens of the same text leave bits per
    byte. Another text, or other windows over the same tokens, leave nothing. Where models or budgets differ, the
    results can be set side by side, but do not say which schedule is better.
    """
    setups = [run.source.setup for run in runs]
    same_tokens = len({setup.data_fingerprint for setup in setups}) == 1
    same_text = same_tokens or len(set(_texts([run.source for run in runs]))) == 1
    same_windows = len({(setup.windows_fingerprint, setup.evaluation_tokens) for setup in setups}) == 1
    fine: dict[Difference, bool] = {
        "text": same_text,
        "windows": same_windows or not same_tokens,
        "model": len({setup.model.model_dump_json() for setup in setups}) == 1,
        "budget": len({setup.budget().total_tokens for setup in setups}) == 1,
    }
    seeds, num_fresh = _common_seeds(runs)
    checks: dict[str, bool] = {
        "tokens": same_tokens or not same_text,
        **{str(name): alike for name, alike in fine.items()},
        "numerics": len({json.dumps(setup.numerics, sort_keys=True) for setup in setups}) == 1,
        "seed": len({run.source.study.seed for run in runs}) == 1,
        "unpaired": bool(seeds),
        "ranked_by": all(run.source.ranking.verdict.ranked_by == LOSS for run in runs),
    }
    is_measured = fine["text"] and fine["windows"]
    return Comparability(
        unit=None if not is_measured else "perplexity" if same_tokens else "bits_per_byte",
        seeds=seeds,
        num_fresh=num_fresh,
        apart=tuple(name for name, alike in fine.items() if not alike),
        warnings=tuple(f"warn_{name}" for name, alike in checks.items() if not alike),
    )


def _texts(sources: Sequence[ReportSource]) -> list[str]:
    """What names the text of each study, whatever its tokenizer: its files where all are known, else settings."""
    ways = [
        source.study.data.model_dump(mode="json", exclude={"tokenizer", "source", "validation"})
        for source in sources
    ]
    if all(source.metadata is not None for source in sources):
        texts = [_files(source) for source in sources]
    else:
        texts = [[*source.study.data.source, "|", *(source.study.data.validation or ())] for source in sources]
    return [json.dumps([way, own], sort_keys=True) for way, own in zip(ways, texts, strict=True)]


def _files(source: ReportSource) -> list[str]:
    return [] if source.metadata is None else sorted(f"{own.role} {own.sha256}" for own in source.metadata.sources)


def _common_seeds(runs: Sequence[ComparedRun]) -> tuple[tuple[int, ...], int]:
    """The seeds on which all are compared, and how many fresh ones they have in common."""
    common = set.intersection(*({run.seed for run in one.row.runs} for one in runs))
    searched = {one.source.study.seed for one in runs}
    fresh = common - searched
    seeds = tuple(sorted(fresh)) if len(fresh) >= 2 else tuple(sorted(common & searched))[:1]
    return seeds, len(fresh)


def _letter(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else f"{_letter(index // 26 - 1)}{_letter(index % 26)}"


def in_order(runs: Sequence[ComparedRun], judged: Comparability) -> tuple[ComparedRun, ...]:
    """The runs with their letters, best first; as they were named where none is better."""
    ordered = list(runs)
    if not judged.is_ranked:
        pass  # an order would say that the first is better
    elif judged.unit == "perplexity":
        ordered.sort(key=lambda one: one.loss(judged.seeds))
    elif judged.unit == "bits_per_byte":
        ordered.sort(key=lambda one: one.bits_per_byte(judged.seeds))
    return tuple(dataclasses.replace(one, mark=_letter(index)) for index, one in enumerate(ordered))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Two runs on the seeds on which all are compared, so that order and interval rest on the same runs.

    Attributes:
        best: The better one.
        other: The other.
        gain_nats: Loss of the other minus that of the better; of bits per byte, how far their logarithms are apart.
        fresh: The paired test of that gain over the common fresh seeds; None below two of them.
        is_search: Whether they are compared on the search's seed alone.
    """

    best: ComparedRun
    other: ComparedRun
    gain_nats: float
    fresh: PairedTest | None
    is_search: bool


def pair(best: ComparedRun, other: ComparedRun, judged: Comparability) -> Pairing:
    """Pair two runs by seed."""
    seeds = [[seed] for seed in judged.seeds] or [[]]
    gains = [_gain_nats(best, other, judged.unit, seed) for seed in seeds]
    fresh = paired_test(gains) if len(gains) >= 2 else None
    return Pairing(
        best=best,
        other=other,
        gain_nats=gains[0] if fresh is None else fresh.mean_nats,
        fresh=fresh,
        is_search=len(judged.seeds) == 1,
    )


def _gain_nats(best: ComparedRun, other: ComparedRun, unit: str | None, seeds: Sequence[int]) -> float:
    if unit == "bits_per_byte":
        return math.log(other.bits_per_byte(seeds) / best.bits_per_byte(seeds))
    return other.loss(seeds) - best.loss(seeds)
