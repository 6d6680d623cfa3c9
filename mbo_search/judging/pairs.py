"""Pairs of runs on the same seed: what each run came to, and what a pair is worth as evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from mbo_search.judging.question import JudgeQuestion
from mbo_search.study.spec.base import Description

PairState = Literal["counted", "identical", "failed"]
"""`identical` and `failed` pairs are no evidence."""

_VARIES = re.compile(r"second|time|duration|memory|per_s", re.IGNORECASE)
"""Numbers with such names differ between two equal trainings."""


class RunRecord(Description):
    """How one run ended.

    Attributes:
        schema_version: Version of this format.
        seed: Its seed.
        state: Whether it left a result.
        values: Numbers of its result by name; those of `metrics` and other nested ones as `metrics.name`.
        strange: Names of numbers that are NaN or infinite.
        message: Why it failed, in a sentence; empty if it did not.
        seconds: How long it took.
    """

    schema_version: Literal["mbo-search/judged-run/1"] = "mbo-search/judged-run/1"
    seed: int = Field(ge=0)
    state: Literal["finished", "failed"]
    values: dict[str, float] = {}
    strange: tuple[str, ...] = ()
    message: str = ""
    seconds: float = Field(default=0.0, ge=0)

    def value(self, metric: str) -> float | None:
        """The metric; None where it has none that is a number."""
        name = self.name_of(metric)
        return None if name is None else self.values.get(name)

    def name_of(self, metric: str) -> str | None:
        """The name under which a metric stands, also where it is not finite; None: nowhere."""
        known = {*self.values, *self.strange}
        return next((name for name in (metric, f"metrics.{metric}") if name in known), None)


class JudgedPair(Description):
    """Both runs of a seed.

    Attributes:
        seed: The seed.
        baseline: Metric of the baseline's run; None if it failed.
        candidate: Metric of the candidate's run; None if it failed.
        state: What the pair is worth.
        why: Why it failed; empty if it did not.
    """

    seed: int
    baseline: float | None
    candidate: float | None
    state: PairState
    why: str = ""

    def gain(self, question: JudgeQuestion) -> float:
        """How much better the candidate is, in the unit of the metric."""
        assert self.baseline is not None, "the baseline failed"
        assert self.candidate is not None, "the candidate failed"
        return question.sign * (self.baseline - self.candidate)


def pair_of(baseline: RunRecord, candidate: RunRecord, question: JudgeQuestion) -> JudgedPair:
    """Put two runs of one seed together."""
    values = (baseline.value(question.metric), candidate.value(question.metric))
    reasons = [
        f"{side}: {why}"
        for side, run in (("baseline", baseline), ("candidate", candidate))
        if (why := failure_of(run, question.metric))
    ]
    state: PairState = "failed" if reasons else "identical" if are_identical(baseline, candidate) else "counted"
    known = [
        None if failure_of(run, question.metric) else value
        for run, value in zip((baseline, candidate), values, strict=True)
    ]
    return JudgedPair(
        seed=baseline.seed, baseline=known[0], candidate=known[1], state=state, why="; ".join(reasons)
    )


def failure_of(run: RunRecord, metric: str) -> str:
    """Why a run is no evidence; empty if it is."""
    if run.state == "failed":
        return run.message
    name = run.name_of(metric)
    if name is None:
        known = ", ".join(sorted(run.values)[:10]) or "no number"
        return f"its result has no {metric}; it has: {known}"
    return f"{name} is NaN or infinite" if name in run.strange else ""


def are_identical(one: RunRecord, other: RunRecord) -> bool:
    """Whether two runs came to the same numbers bit for bit, times and sizes in memory left aside."""
    return _lasting(one.values) == _lasting(other.values) and set(one.strange) == set(other.strange)


def _lasting(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if not _VARIES.search(name)}
