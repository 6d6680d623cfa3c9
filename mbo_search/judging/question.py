"""What is asked of a judgement: which number, which differences matter, and how much may be spent on the answer."""

from __future__ import annotations

import math
import re

from pydantic import Field

from mbo_search.errors import Problem, UserError
from mbo_search.results.statistics.paired import FEWEST_SEEDS, WORTHWHILE_PERCENT
from mbo_search.study.spec.base import Description

MOST_SEEDS = 1000
"""More pairs than anybody trains; work grows with the square of it."""

_SECONDS = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)", re.IGNORECASE)


class JudgeQuestion(Description):
    """What decides, when to stop, and what may be used for it.

    >>> JudgeQuestion(metric="accuracy", maximize=True, worthwhile_percent=1.0).max_seeds
    12

    Attributes:
        metric: Name of the number in `result.json`, or under its `metrics`.
        maximize: Whether a larger number is better.
        worthwhile_percent: Smallest gain worth having, in percent of the baseline's mean.
        max_seeds: Most pairs; at least 6, below which nothing is ever decided.
        first_seed: The first seed; the others follow it.
        budget_seconds: Time after which no answer is waited for; None: no limit.
        timeout_seconds: Time after which one run has failed; None: no limit.
        retry_failed: Whether runs that failed before are tried again.
        workers: Runs at once.
        gpus_per_run: Whole or fractional GPUs of a run as a task of Ray, which sees no other ones.
    """

    metric: str = Field(default="val_loss", min_length=1, max_length=200)
    maximize: bool = False
    worthwhile_percent: float = Field(default=WORTHWHILE_PERCENT, gt=0, lt=100)
    max_seeds: int = Field(default=12, ge=FEWEST_SEEDS, le=MOST_SEEDS)
    first_seed: int = Field(default=1, ge=0, lt=2**31 - 2 * MOST_SEEDS)
    budget_seconds: float | None = Field(default=None, gt=0)
    timeout_seconds: float | None = Field(default=None, gt=0)
    retry_failed: bool = False
    workers: int = Field(default=1, ge=1, le=1000)
    gpus_per_run: float = Field(default=0.0, ge=0, le=64)

    @property
    def sign(self) -> int:
        """What turns `baseline - candidate` into a gain."""
        return -1 if self.maximize else 1

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds in their order."""
        return tuple(range(self.first_seed, self.first_seed + self.max_seeds))


def parse_duration(text: str, key: str) -> float:
    """Read a duration such as `2h`, `90min`, `1h 30m` or `45s`, in seconds.

    Args:
        text: What was given.
        key: The option that it was given to, for the message.

    Raises:
        UserError: If it is none, or nothing.

    >>> parse_duration("1h 30m", "--budget"), parse_duration("45s", "--budget")
    (5400.0, 45.0)
    """
    parts = _DURATION.findall(text)
    seconds = sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts)
    if _DURATION.sub("", text).strip() or not parts or not 0 < seconds < math.inf:
        hint = "write a number with its unit: s, min, h or d"
        raise UserError([Problem(key=key, value=text, rule="must be a duration, such as 2h or 90min", hint=hint)])
    return seconds


def parse_percent(text: str, key: str) -> float:
    """Read a percentage such as `0.5%` or `0.5`.

    Raises:
        UserError: If it is none between 0 and 100.

    >>> parse_percent("0.5%", "--worthwhile"), parse_percent("2", "--worthwhile")
    (0.5, 2.0)
    """
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = math.nan
    if not 0 < percent < 100:
        rule = "must be a percentage above 0 and below 100, such as 0.5%"
        raise UserError([Problem(key=key, value=text, rule=rule)])
    return percent
