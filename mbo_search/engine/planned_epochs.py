"""How often the schedules of a space read the text of each source: at least, and at most."""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.data.metadata import DataMetadata
from mbo_search.study.space.axes import StageAxes
from mbo_search.study.space.dimensions.mixture import share_ends
from mbo_search.study.space.space import Space
from mbo_search.study.spec.sections.values import numbers_of


def source_epochs(space: Space, metadata: DataMetadata) -> dict[str, tuple[float, float]]:
    """Bounds by the name of the source; empty where the study names none.

    Args:
        space: The schedules.
        metadata: What is known of the text.
    """
    tokens = metadata.source_tokens
    natural = {name: num / sum(tokens.values()) for name, num in tokens.items()}
    found: dict[str, tuple[float, float]] = {}
    for name, num_tokens in tokens.items():
        ends = [share_ends(axes.dimensions.get("mixture"), name, natural[name]) for axes in space.stages]
        whole = space.budget.total_tokens / num_tokens
        low = _least(space.stages, [low for low, _ in ends])
        high = -_least(space.stages, [-high for _, high in ends])
        found[name] = (whole * low, whole * high)
    return found


def _least(stages: Sequence[StageAxes], weights: Sequence[float]) -> float:
    """The least sum of shares times weights: each stage gets its least share, then the lightest ones get more."""
    lows, highs = zip(*_share_ends(stages), strict=True)
    left = 1 - sum(lows)
    total: float = sum(low * weight for low, weight in zip(lows, weights, strict=True))
    for index in sorted(range(len(stages)), key=weights.__getitem__):
        more = min(left, highs[index] - lows[index])
        total, left = total + more * weights[index], left - more
    return total


def _share_ends(stages: Sequence[StageAxes]) -> list[tuple[float, float]]:
    """The least and the largest share of each stage; the rest takes what is left."""
    given = [None if axes.share is None else numbers_of(axes.share) for axes in stages]
    low = sum(min(numbers) for numbers in given if numbers is not None)
    high = sum(max(numbers) for numbers in given if numbers is not None)
    rest = (max(0.0, 1 - high), 1 - low)
    return [rest if numbers is None else (min(numbers), max(numbers)) for numbers in given]
