"""When a search ends: at whichever of its limits comes first."""

from __future__ import annotations

from dataclasses import dataclass

from mbo_search.study.spec.study import SearchSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a search has used so far.

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
    """The most that a search may use; None: no limit.

    Attributes:
        trials: Schedules, all arms and baselines together.
        tokens: Executed tokens. The trial that crosses the limit is finished.
        seconds: Wall-clock seconds after which no trial is begun.
    """

    trials: int | None = None
    tokens: int | None = None
    seconds: float | None = None

    def reached(self, spent: Usage) -> str | None:
        """Name the limit that forbids another trial, or None.

        >>> limits = Limits(trials=4, tokens=1000)
        >>> limits.reached(Spent(trials=3, tokens=999, seconds=1e9)) is None
        True
        >>> limits.reached(Spent(trials=3, tokens=1000, seconds=0.0))
        'budget'
        """
        if self.trials is not None and spent.trials >= self.trials:
            return "trials"
        if self.tokens is not None and spent.tokens >= self.tokens:
            return "budget"
        if self.seconds is not None and spent.seconds >= self.seconds:
            return "hours"
        return None


def limits_of(search: SearchSpec) -> StoppingCriteria:
    """The limits that a study sets."""
    seconds = None if search.hours is None else search.hours * 3600
    return StoppingCriteria(trials=search.trials, tokens=search.budget, seconds=seconds)
