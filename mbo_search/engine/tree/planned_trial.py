"""A decision of a planner: what the next trial is to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mbo_search.engine.tree.history import STOP_AFTER, History, Params

EXPECTED_GAIN = "expected_gain_nats"
"""User attribute of a trial: the improvement of the best loss that the searcher expected of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrial:
    """Parameters and length that a planner has decided on.

    Attributes:
        params: Its parameters.
        stop_after: The stage after which it ends, as a probe; None for a whole schedule.
        expected_gain: Largest improvement of the best loss, in nats, that a model expects of any remaining
            schedule; None where no model was asked.
    """

    params: Params
    stop_after: int | None = None
    expected_gain: float | None = None

    @property
    def notes(self) -> Mapping[str, float | int]:
        """User attributes of the trial."""
        noted = {STOP_AFTER: self.stop_after, EXPECTED_GAIN: self.expected_gain}
        return {name: value for name, value in noted.items() if value is not None}


class Planner(Protocol):
    """Chooser of the next trial."""

    def plan(self, history: History) -> PlannedTrial:
        """Choose the next trial."""
        ...
