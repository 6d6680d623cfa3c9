"""The noise floor of a study: how far the same untuned recipe ends from itself when only the seed changes."""

from __future__ import annotations

import math

from mbo_search.results.champions import Champions
from mbo_search.results.ranking_values import NoiseFloor
from mbo_search.results.values import sd_or_none

__all__ = ["noise_floor"]


def noise_floor(best: Champions) -> NoiseFloor | None:
    """The spread of the baseline over its fresh seeds; None below two of them.

    Args:
        best: The champions of the study.
    """
    if best.baseline is None:
        return None
    losses = [record.val_loss for record in best.baseline.fresh if record.val_loss is not None]
    sd_nats = sd_or_none(losses)
    if sd_nats is None:
        return None
    return NoiseFloor(
        trial=best.baseline.head.trial,
        label=best.baseline.head.label,
        num_seeds=len(losses),
        sd_nats=sd_nats,
        sd_percent=100 * math.expm1(min(sd_nats, 600.0)),
        range_nats=max(losses) - min(losses),
    )
