"""Evidence made by hand: a few settings, and trials whose losses are known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mbo_search.advising.told import Margin, Told, ToldTrial, best_first
from mbo_search.study.space.parameters import Parameter, Value

__all__ = ["told_of"]


def told_of(
    space: tuple[Parameter, ...], rows: Iterable[tuple[Mapping[str, Value], float]], margin: float = 0.01
) -> Told:
    """Evidence of trials, each as its values and how far behind it ended."""
    trials = [
        ToldTrial(study="made", trial=number, seed=0, params=dict(params), behind=behind)
        for number, (params, behind) in enumerate(rows)
    ]
    return Told(trials=best_first(trials, space), space=space, margin=Margin(size=margin))
