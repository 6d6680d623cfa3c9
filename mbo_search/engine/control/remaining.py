"""Time that a search still needs: the tokens that are left to train, at the pace of the slots so far.

What is shared is never trained, so a search trains less than its schedules ask for. How much less shows only as it
runs; before that, searches of the past stand in for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mbo_search.engine.control.controller import SearchController
from mbo_search.engine.control.expected import CONFIRMED_SHARE, SCHEDULES_IN_FULL, TRAINED_SHARE
from mbo_search.results.records.records import TrialRecord

_PRIOR_SCHEDULES = 8
"""Schedules that the searches of the past count for, beside those of this search."""

_LEAST_SECONDS = 3.0
"""Time of training before a pace is believed."""

_LEAST_BUSY = 0.4
_NEWS = 0.1
"""Share by which a new estimate must differ before the old one, which counts down, is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkLeft:
    """Charged tokens that are left to train.

    Attributes:
        running: Of each running trial, up to its end.
        search: Of schedules that are not running, the search's share of a limit of tokens or schedules.
        confirm: Of confirm runs that are not running.
        schedule_tokens: Of a whole schedule, which no number of slots makes shorter.
    """

    running: tuple[int, ...] = ()
    search: float = 0.0
    confirm: float = 0.0
    schedule_tokens: int = 0

    @property
    def tokens(self) -> float:
        """All of it."""
        return sum(self.running) + self.search + self.confirm

    def longest(self, slots: int) -> float:
        """Tokens that the slot with the most work trains: of the search, and then of the confirmation.

        >>> WorkLeft(running=(600, 100), search=100.0, schedule_tokens=100).longest(2)
        600.0
        >>> WorkLeft(confirm=400.0, schedule_tokens=100).longest(2), WorkLeft(confirm=100.0).longest(8)
        (200.0, 12.5)
        """
        alone = min(self.search, self.schedule_tokens)
        search = max([*self.running, alone, (sum(self.running) + self.search) / slots])
        return search + max(self.confirm / slots, min(self.confirm, self.schedule_tokens))


def work_left(controller: SearchController, positions: Mapping[int, int]) -> WorkLeft | None:
    """What a search has left; None if nothing says when it ends.

    Args:
        controller: The search.
        positions: Charged tokens that each running trial has done.
    """
    table = controller.table
    running = tuple(max(0, table.task(trial).tokens - tokens) for trial, tokens in positions.items())
    waiting = sum(table.task(trial).tokens for trial in table.open_trials if trial not in positions)
    search = 0.0 if controller.ended_by() else _search_left(controller)
    if search is None:
        return None
    return WorkLeft(
        running=running,
        search=search + waiting,
        confirm=_confirm_left(controller),
        schedule_tokens=_schedule_tokens(controller),
    )


def _search_left(controller: SearchController) -> float | None:
    """Charged tokens of the schedules that have not begun, by the limit that is reached first."""
    limits, table = controller.config.limits, controller.table
    left = []
    if limits.trials is not None:
        num_left = max(0, limits.trials - table.num_search_trials())
        left.append(num_left * _tokens_a_schedule(table.records, _schedule_tokens(controller)))
    if limits.tokens is not None:
        left.append(float(max(0, limits.tokens - table.search_tokens())))
    return min(left, default=None)


def _tokens_a_schedule(records: Sequence[TrialRecord], schedule_tokens: int) -> float:
    """Charged tokens that another schedule trains, from those of this search and from searches of the past."""
    search = [record for record in records if record.is_search]
    num = sum(record.reason != "probe" for record in search)
    in_full = min(num, SCHEDULES_IN_FULL)
    later = max(0, sum(record.cost.tokens for record in search) - in_full * schedule_tokens)
    known = later + _PRIOR_SCHEDULES * TRAINED_SHARE * schedule_tokens
    return known / (num - in_full + _PRIOR_SCHEDULES)


def _confirm_left(controller: SearchController) -> float:
    confirm = controller.config.confirm
    if confirm is None:
        return 0.0
    if controller.ended_by() is None or any(
        controller.table.task(trial).is_search for trial in controller.table.open_trials
    ):
        return CONFIRMED_SHARE * confirm.most_tokens
    return CONFIRMED_SHARE * sum(task.tokens for task in controller.confirm_left())


def _schedule_tokens(controller: SearchController) -> int:
    tasks = [controller.table.task(record.trial) for record in controller.table.records]
    tasks += [controller.table.task(trial) for trial in controller.table.open_trials]
    return max((task.tokens for task in tasks if task.is_search), default=0)


class PaceMeter:
    """Measures how many charged tokens a slot trains in a second, from running and ended trials of one driver.

    A trial counts from the first moment at which it is known to train: starting a worker takes seconds once, and
    says nothing about the hours that follow.

    Args:
        began: When the driver began, seconds since the epoch; what ended before says nothing about now.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._first: dict[int, tuple[float, int]] = {}
        self._last: dict[int, tuple[float, int]] = {}

    def see(self, positions: Mapping[int, int], now: float) -> None:
        """Note how far the running trials are, in charged tokens."""
        for trial, tokens in positions.items():
            self._first.setdefault(trial, (now, tokens))
            self._last[trial] = now, tokens

    def running_tokens(self, positions: Mapping[int, int]) -> int:
        """Charged tokens that the running trials have trained since they were first seen."""
        return sum(max(0, tokens - self._first[trial][1]) for trial, tokens in positions.items())

    def done(self, records: Sequence[TrialRecord]) -> tuple[float, float]:
        """Charged tokens that were trained, and the slot-seconds that it took."""
        tokens = seconds = 0.0
        ended = set()
        for record in records:
            if record.started_at >= self._began and record.cost.tokens:
                began, _ = self._first.get(record.trial, (record.started_at, 0))
                tokens += record.cost.tokens
                seconds += max(0.0, record.ended_at - began)
            ended.add(record.trial)
        for trial in self._first.keys() - ended:
            (first, before), (last, now) = self._first[trial], self._last[trial]
            tokens, seconds = tokens + max(0, now - before), seconds + last - first
        return tokens, seconds

    def pace(self, records: Sequence[TrialRecord]) -> float | None:
        """Charged tokens that a slot trains in a second; None before that can be said."""
        tokens, seconds = self.done(records)
        return tokens / seconds if tokens > 0 and seconds >= _LEAST_SECONDS else None

    def busy(self, records: Sequence[TrialRecord], slots: int, now: float) -> float:
        """Share of the slots' time at work, in (0, 1]; 1 before every slot has had some work."""
        if len(self._first) <= 2 * slots:
            return 1.0
        _, seconds = self.done(records)
        wall = now - min(first for first, _ in self._first.values())
        return min(1.0, max(_LEAST_BUSY, seconds / (wall * slots))) if wall > 0 else 1.0


@dataclass(slots=True)
class Countdown:
    """An estimate as people want it: it counts down, and jumps only when there is news.

    >>> countdown = Countdown()
    >>> [countdown.shown(left, now) for now, left in [(0.0, 60.0), (10.0, 55.0), (20.0, 20.0)]]
    [60.0, 50.0, 20.0]
    """

    _end: float | None = None

    def shown(self, left: float | None, now: float) -> float | None:
        """Seconds left to show, given a fresh estimate."""
        if left is None:
            self._end = None
            return None
        if self._end is None or abs(now + left - self._end) > _NEWS * max(left, 1.0):
            self._end = now + left
        return max(0.0, self._end - now)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLeft:
    """What is shown of the time to come.

    Attributes:
        seconds: Seconds left; None before that can be said.
        share: Share of the work that is done, in [0, 1]; None if nothing says when the search ends.
    """

    seconds: float | None
    share: float | None


class Estimator:
    """Estimates the time that a search still needs, and its share done, as they are shown to people.

    Args:
        began: When the driver began, seconds since the epoch.
    """

    def __init__(self, began: float) -> None:
        self._meter = PaceMeter(began)
        self._countdown = Countdown()
        self._share = 0.0

    def estimate(self, controller: SearchController, positions: Mapping[int, int], now: float) -> TimeLeft:
        """TimeLeft from where the running trials stand, in charged tokens."""
        self._meter.see(positions, now)
        records, slots = controller.table.records, controller.config.slots
        left, pace = work_left(controller, positions), self._meter.pace(records)
        if left is None:
            return TimeLeft(seconds=_seconds_left(controller), share=None)
        done = sum(record.cost.tokens for record in records) + self._meter.running_tokens(positions)
        self._share = max(self._share, done / (done + left.tokens) if done else 0.0)
        seconds = None
        if pace is not None:
            seconds = left.longest(slots) / (pace * self._meter.busy(records, slots, now))
            seconds = min([seconds, *_within_hours(controller, left, pace)])
        return TimeLeft(seconds=self._countdown.shown(seconds, now), share=min(1.0, self._share))


UNKNOWN = TimeLeft(seconds=None, share=None)
"""Before anything is known."""


def reached_positions(controller: SearchController) -> dict[int, int]:
    """Charged tokens that each running trial had done at the last stage end that it has told."""
    boundaries = {trial: controller.reached(trial) for trial in controller.running_trials}
    return {trial: 0 if boundary is None else boundary.tokens for trial, boundary in boundaries.items()}


def _seconds_left(controller: SearchController) -> float | None:
    """Seconds to the limit of hours, if there is one."""
    limit = controller.config.limits.seconds
    return None if limit is None else max(0.0, limit - controller.elapsed_seconds)


def _within_hours(controller: SearchController, left: WorkLeft, pace: float) -> list[float]:
    """Seconds left if the hours end the search: what is running then is finished, and confirmed."""
    seconds = _seconds_left(controller)
    if seconds is None:
        return []
    after = WorkLeft(running=left.running, confirm=left.confirm, schedule_tokens=left.schedule_tokens)
    return [seconds + after.longest(controller.config.slots) / pace]
