"""Objections to a yes that the numbers give: opponents that had too little, and ranges that end too early."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

from mbo_search.results.evidence.champions import Champions
from mbo_search.results.evidence.ladder import FEWEST_TRIALS, LadderContext
from mbo_search.results.records.fitness import LOSS, fitness
from mbo_search.results.records.records import LOWER_ARMS, TrialRecord
from mbo_search.results.records.schedule_groups import ScheduleRuns
from mbo_search.results.statistics.paired import percent_lower
from mbo_search.study.space.parameters import Parameter
from mbo_search.units import format_count

EDGE = 0.05
"""Share of a range at either end that counts as its edge; rates are measured on a logarithmic scale."""

_MOST_SCHEDULES_BEHIND = 2
"""Schedules by which the opponents may be behind in tokens: searches are interleaved a schedule at a time."""


def objections(
    best: Champions, records: Sequence[TrialRecord], context: LadderContext, gain: float, by: str = LOSS
) -> tuple[str, ...]:
    """Say why a gain, in nats or in units of a metric, must not be believed yet, whatever its interval."""
    searched = [record for record in records if record.arm in LOWER_ARMS]
    weak = [*_unequal(context), *_few_trials(searched, context), *_still_improving(searched, gain, by)]
    found = [*([] if _have_tried_everything(searched, context) else weak), *_edges(best, context)]
    return tuple(dict.fromkeys(found))


def _have_tried_everything(searched: Sequence[TrialRecord], context: LadderContext) -> bool:
    """Whether the opponents' spaces are finite and no schedule of them is left: nothing makes them stronger."""
    tried = {
        name: {tuple(sorted(one.params.items())) for one in searched if one.arm == name} for name in context.sizes
    }
    return bool(context.sizes) and all(
        size is not None and len(tried[name]) >= size for name, size in context.sizes.items()
    )


def _edges(best: Champions, context: LadderContext) -> Iterator[str]:
    """The challenger with all its numbers; of the opponents the rates, which decide how good they could be."""
    if best.challenger is not None:
        yield from edges_of(best.challenger, context)
    for runs in best.opponents:
        yield from edges_of(runs, context, _is_rate)


def _is_rate(name: str) -> bool:
    return "/lr_relative" in name or "/lr/" in name


def _is_any(name: str) -> bool:
    return True


def edges_of(runs: ScheduleRuns, context: LadderContext, counts: Callable[[str], bool] = _is_any) -> Iterator[str]:
    """Name the ranges at whose edge a schedule lies."""
    known = {parameter.name: parameter for parameter in context.searched.get(runs.head.arm, ())}
    for name, value in runs.head.params.items():
        parameter = known.get(name)
        if (
            parameter is None
            or not counts(name)
            or isinstance(value, str)
            or parameter.choices
            or parameter.step is not None
        ):
            continue
        place = _place(parameter, float(value))
        if place <= EDGE and parameter.low == 0:
            continue  # nothing lies below
        if not EDGE < place < 1 - EDGE:
            end, bound = ("lower", parameter.low) if place <= EDGE else ("upper", parameter.high)
            yield (
                f"#{runs.head.trial} lies at the {end} edge of a searched range: {name} is {value:g}, "
                f"and the range ends at {bound:g}; extend it there"
            )


def late_gain(records: Sequence[TrialRecord], by: str = LOSS) -> float | None:
    """By how much the best loss, or metric, still improved in the last half of some trials' tokens."""
    in_order = sorted(records, key=lambda record: record.trial)
    spent = list(itertools.accumulate(record.cost.tokens for record in in_order))
    if not spent or spent[-1] == 0:
        return None
    known = [fitness(record, by) for record in in_order]
    values = [math.inf if value is None else value for value in known]
    early = min(
        (value for value, tokens in zip(values, spent, strict=True) if 2 * tokens <= spent[-1]), default=math.inf
    )
    return None if math.isinf(early) else max(0.0, early - min(values))


def _place(parameter: Parameter, value: float) -> float:
    """Position of a value in its range, from 0 to 1."""
    low, high = parameter.low, parameter.high
    if parameter.log and low > 0:
        return math.log(value / low) / math.log(high / low) if value > 0 else 0.0
    return (value - low) / (high - low)


def _unequal(context: LadderContext) -> Iterator[str]:
    own, theirs = context.charges.get("staged", 0), context.charges.get("opponents", 0)
    if own - theirs > max(_MOST_SCHEDULES_BEHIND * context.schedule_tokens, own // 10):
        yield (
            f"the opponents were searched with {format_count(theirs)} tokens, the question's side with "
            f"{format_count(own)}; only equal efforts can be compared"
        )


def _few_trials(searched: Sequence[TrialRecord], context: LadderContext) -> Iterator[str]:
    complete = sum(record.state == "complete" for record in searched)
    if context.optimizers and complete < FEWEST_TRIALS * len(context.optimizers):
        yield (
            f"the opponents had {complete} trials for {len(context.optimizers)} optimizers; fewer than "
            f"{FEWEST_TRIALS} for each do not count as tuning"
        )


def _still_improving(searched: Sequence[TrialRecord], gain: float, by: str) -> Iterator[str]:
    late = late_gain(searched, by)
    if late is not None and gain > 0 and late > gain:
        shown = (f"{one:.2g} {by}" if by != LOSS else f"{percent_lower(one):.2g} %" for one in (late, gain))
        still, claimed = shown
        yield (
            f"the opponents still gained {still} in the last half of their tokens, more than the {claimed} that "
            f"would be claimed"
        )
