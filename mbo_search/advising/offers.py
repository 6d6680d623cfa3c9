"""What a setting should offer in the next study: fewer choices, a narrower range, or one that goes on at an end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mbo_search.advising.parts import (
    LEVEL,
    NUM_THIRDS,
    PartEvidence,
    at_position,
    parts_behind,
    parts_of_setting,
    place_of,
    position,
)
from mbo_search.advising.places import Offer
from mbo_search.advising.said import Said, number
from mbo_search.advising.told import Told, ToldTrial, luck_of_rank
from mbo_search.study.checks.written import shown
from mbo_search.study.space.parameters import Parameter, Value
from mbo_search.study.spec.sections.values import Range
from mbo_search.units import round_significant

_OUTER = 0.2
"""Share of a range in which the best trial has to lie for its end to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOffer:
    """What a setting should offer.

    Attributes:
        parameter: The setting.
        offer: Its choices or its range.
        reasons: Why, a sentence for each part that goes or comes.
    """

    parameter: Parameter
    offer: Offer
    reasons: tuple[Said, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """An end of a setting where the best trials lie.

    Attributes:
        is_upper: Which end.
        trials: The trials there, best first.
        num_leading: Different combinations of choices there that are better than all elsewhere.
        num_draws: Different combinations.
        behind: How far the best trial elsewhere is behind.
        luck: Chance of that if the end were no better.
    """

    is_upper: bool
    trials: tuple[ToldTrial, ...]
    num_leading: int
    num_draws: int
    behind: float
    luck: float


def new_offers(told: Told) -> tuple[NewOffer, ...]:
    """What the trials say against the present offers, in the order of the space.

    The part with the clearest evidence goes first, and its trials with it: what they died of is blamed on one
    setting alone. Then the others are looked at again, until nothing is behind any more.
    """
    gone: dict[str, list[tuple[PartEvidence, Said]]] = {}
    left = told
    while (worst := _clearest(left, gone)) is not None:
        gone.setdefault(worst.parameter.name, []).append((worst, _left_out(told, worst)))
        used = {(trial.study, trial.trial) for trial in worst.trials}
        left = replace(left, trials=tuple(one for one in left.trials if (one.study, one.trial) not in used))
    found = (_new_offer(told, parameter, gone.get(parameter.name, ())) for parameter in told.space)
    return tuple(one for one in found if one is not None)


def _clearest(told: Told, gone: Mapping[str, Sequence[tuple[PartEvidence, Said]]]) -> PartEvidence | None:
    """The part that is behind with the least chance of luck."""
    places = {name: [part.place for part, _ in parts] for name, parts in gone.items()}
    behind = (
        part for parameter in told.space for part in parts_behind(told, parameter, places.get(parameter.name, ()))
    )
    return min(behind, key=lambda part: (part.luck, part.parameter.name, part.place), default=None)


def _new_offer(told: Told, parameter: Parameter, gone: Sequence[tuple[PartEvidence, Said]]) -> NewOffer | None:
    behind, end = [part for part, _ in gone], _best_end(told, parameter)
    offer: Offer = _left(parameter, behind) if parameter.choices else _narrowed(told, parameter, behind)
    grown = None if end is None else _grown(parameter, offer, is_upper=end.is_upper)
    reasons = [said for _, said in gone]
    if grown is not None and end is not None:
        bound, offer = grown
        reasons.append(_extended(told, end, bound))
    return NewOffer(parameter=parameter, offer=offer, reasons=tuple(reasons)) if reasons else None


def _left(parameter: Parameter, behind: Sequence[PartEvidence]) -> tuple[Value, ...]:
    gone = {one.place for one in behind}
    return tuple(choice for place, choice in enumerate(parameter.choices) if place not in gone)


def _narrowed(told: Told, parameter: Parameter, behind: Sequence[PartEvidence]) -> Range:
    """The range without its ends; every trial that lies elsewhere stays inside."""
    gone = {one.place for one in behind}
    kept = [place for place in range(NUM_THIRDS) if place not in gone]
    numbers = [float(trial.params[parameter.name]) for trial in told.having(parameter.name)]
    inside = [value for value in numbers if place_of(parameter, value) in kept]
    low = parameter.low if kept[0] == 0 else _on_grid(parameter, kept[0] / NUM_THIRDS)
    high = parameter.high if kept[-1] == NUM_THIRDS - 1 else _on_grid(parameter, (kept[-1] + 1) / NUM_THIRDS)
    return Range(low=min([low, *inside]), high=max([high, *inside]))


def _on_grid(parameter: Parameter, share: float) -> float:
    """The allowed number that is nearest to a position, which may lie outside the range."""
    value = at_position(parameter, share)
    if parameter.step is None:
        return round_significant(value)
    return round(parameter.low + parameter.step * round((value - parameter.low) / parameter.step), 12)


def _best_end(told: Told, parameter: Parameter) -> _End | None:
    """The end of a setting at which the best trials lie, beyond noise and luck."""
    is_list = bool(parameter.choices)
    if is_list and (len(parameter.choices) < 2 or any(isinstance(one, str) for one in parameter.choices)):
        return None
    parts = parts_of_setting(told, parameter)
    last = (len(parameter.choices) or NUM_THIRDS) - 1
    for place in (0, last):
        own = next((one for one in parts if one.place == place), None)
        elsewhere = [one for one in parts if one.place != place]
        if own is None or not elsewhere or own.rank != 1 or not _is_outside(parameter, own, is_upper=place == last):
            continue
        best = min(elsewhere, key=lambda one: one.rank)
        luck = luck_of_rank(best.rank, own.num_draws - own.own_draws, own.num_draws)
        behind = best.behind - own.behind
        if luck <= LEVEL and behind > told.margin.size:
            return _End(
                is_upper=place == last,
                trials=own.trials,
                num_leading=best.rank - 1,
                num_draws=own.num_draws,
                behind=behind,
                luck=luck,
            )
    return None


def _is_outside(parameter: Parameter, part: PartEvidence, *, is_upper: bool) -> bool:
    """Whether the best trial of an outer third lies at the very end."""
    if parameter.choices:
        numbers = [float(choice) for choice in parameter.choices]
        return part.choice == (max(numbers) if is_upper else min(numbers))
    place = position(parameter, float(part.trials[0].params[parameter.name]))
    return place >= 1 - _OUTER if is_upper else place <= _OUTER


def _grown(parameter: Parameter, offer: Offer, *, is_upper: bool) -> tuple[str, Offer] | None:
    """The new end with the offer that it belongs to; None where nothing lies beyond."""
    if isinstance(offer, Range):
        if not is_upper and parameter.low <= 0:
            return None
        bound = _on_grid(parameter, 1 + 1 / NUM_THIRDS if is_upper else -1 / NUM_THIRDS)
        if bound <= 0 and parameter.low > 0:
            return None
        changed = Range(low=offer.low, high=bound) if is_upper else Range(low=bound, high=offer.high)
        return shown(bound), changed
    return _longer(parameter, offer, is_upper=is_upper)


def _longer(parameter: Parameter, offer: tuple[Value, ...], *, is_upper: bool) -> tuple[str, Offer] | None:
    """A list of numbers that goes on as it went so far."""
    numbers = sorted(float(choice) for choice in parameter.choices)
    outer, inner = (numbers[-1], numbers[-2]) if is_upper else (numbers[0], numbers[1])
    has_ratio = numbers[0] > 0 and numbers[-1] / numbers[0] >= 8
    bound = round_significant(outer * outer / inner if has_ratio else outer + (outer - inner))
    if bound < 0 or (bound == 0 and numbers[0] > 0):
        return None
    return shown(bound), (*offer, bound) if is_upper else (bound, *offer)


def _left_out(told: Told, part: PartEvidence) -> Said:
    best = part.trials[0]
    return Said(
        name="left_out",
        values={
            **_about(told, best, part.behind, part.luck),
            "what": _part_text(part),
            "tried": str(len(part.trials)),
            "of": str(part.num_all),
            "rank": str(part.rank),
            "draws": str(part.num_draws),
        },
    )


def _extended(told: Told, end: _End, bound: str) -> Said:
    values = {
        **_about(told, end.trials[0], end.behind, end.luck),
        "what": bound,
        "leading": str(end.num_leading),
        "draws": str(end.num_draws),
    }
    return Said(name="extended", values=values)


def _about(told: Told, trial: ToldTrial, behind: float, luck: float) -> dict[str, str | Said]:
    return {
        "trial": str(trial.trial),
        "study": trial.study,
        "seed": str(trial.seed),
        "behind": number(behind, told.unit),
        "interval": interval_of(told, behind),
        "luck": f"{luck:.2g}" if luck >= 0.0001 else "less than 0.0001",
    }


def interval_of(told: Told, difference: float) -> Said:
    """The interval of a difference of two trials of one seed, or that there is none."""
    margin = told.margin
    if not margin.num_seeds:
        return Said(name="no_interval", values={"margin": number(margin.size, told.unit)})
    ends = {"low": number(difference - margin.size), "high": number(difference + margin.size, told.unit)}
    return Said(name="interval", values={**ends, "seeds": str(margin.num_seeds)})


def _part_text(part: PartEvidence) -> str:
    if part.choice is not None:
        return shown(part.choice)
    ends = (part.place / NUM_THIRDS, (part.place + 1) / NUM_THIRDS)
    low, high = (shown(round_significant(at_position(part.parameter, share))) for share in ends)
    return f"{low} to {high}"
