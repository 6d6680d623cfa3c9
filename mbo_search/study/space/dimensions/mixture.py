"""Mixtures of sources as parameters: which sources, then the weight of each, or one of several fixed mixtures.

Mixtures are told apart by the names of their sources. Where all mixtures of some names have fixed weights, one of
them is chosen as a whole; else there is one mixture of these names, whose weights are chosen one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Literal

from mbo_search.study.space.parameters import Condition, Parameter, Value, numeric_parameter
from mbo_search.study.space.settings import union
from mbo_search.study.spec.dimensions.mixture import mixture_words, shares
from mbo_search.study.spec.schedule import Stage
from mbo_search.study.spec.sections.choices import Mixtures
from mbo_search.study.spec.sections.values import Numeric, Range, numbers_of

NATURAL: Literal["natural"] = "natural"
"""The shares that the text has."""

REST: Literal["rest"] = "rest"
"""Weight of the source that takes what the others leave of 1."""

Weights = Mapping[str, Numeric | Literal["rest"]]
"""A mixture whose weights may be searched."""

_DIGITS = 9


def names_label(weights: Mapping[str, object]) -> str:
    """Name of a mixture among others of a stage.

    >>> names_label({"qa": 0.3, "docs": "rest"})
    'docs+qa'
    """
    return "+".join(sorted(weights))


def is_fixed(weights: Weights) -> bool:
    """Tell whether a mixture leaves nothing to choose."""
    return all(isinstance(weight, float | int | str) for weight in weights.values())


def fixed_weights(weights: Weights) -> dict[str, float]:
    """The numbers of a mixture that leaves nothing to choose."""
    return _filled(weights, {name: weight for name, weight in weights.items() if isinstance(weight, float | int)})


def _filled(weights: Weights, chosen: Mapping[str, float]) -> dict[str, float]:
    rest = max(0.0, round(1 - sum(chosen.values()), _DIGITS))
    return {name: float(chosen.get(name, rest)) for name in sorted(weights)}


def share_ends(choices: Mixtures | None, name: str, natural: float) -> tuple[float, float]:
    """The least and the largest share of a source among the mixtures of a stage.

    Args:
        choices: The mixtures; None where the stage sets nothing.
        name: Name of the source.
        natural: Its share of the text.

    >>> share_ends(("natural", {"docs": (0.2, 0.8), "qa": "rest"}), "qa", 0.1)
    (0.1, 0.8)
    """
    ends = [_ends_in({} if isinstance(choice, str) else choice, name, natural) for choice in choices or (NATURAL,)]
    return min(low for low, _ in ends), max(high for _, high in ends)


def _ends_in(weights: Weights, name: str, natural: float) -> tuple[float, float]:
    if not weights:
        return natural, natural
    numbers = {source: numbers_of(_numbers(weights, source)) for source in weights}
    own = numbers.pop(name, (0.0,))
    if REST in weights.values():
        return min(own), max(own)
    lows, highs = (sum(map(end, numbers.values())) for end in (min, max))
    return _part(min(own), highs), _part(max(own), lows)


def _part(own: float, others: float) -> float:
    return own / (own + others) if own > 0 else 0.0


class MixtureSpace:
    """Choices of the shares of sources."""

    name = "mixture"

    def parameters(self, at: str, choices: Mixtures) -> list[Parameter]:
        """Declare which sources, then their weights."""
        key = f"{at}/{self.name}"
        groups = _groups(choices)
        found = [Parameter(name=key, choices=tuple(groups))]
        for label, group in groups.items():
            when = (Condition(names=(key,), allowed=frozenset({(label,)})),)
            found += _group_parameters(f"{key}/{label}", group, when)
        return found

    def build(self, choices: Mixtures, values: Mapping[str, Value]) -> dict[str, float] | None:
        """Make the weights of a stage; None for those of the text."""
        label = str(values[self.name])
        group = _groups(choices)[label]
        if not group:
            return None
        at = f"{self.name}/{label}"
        if all(map(is_fixed, group)):
            return next(found for found in map(fixed_weights, group) if mixture_words(found) == values[at])
        (weights,) = group
        return _filled(
            weights, {name: float(values[f"{at}/{name}"]) for name, weight in weights.items() if weight != REST}
        )

    def values(self, stage: Stage) -> dict[str, Value]:
        """Return the values that would make a stage's weights."""
        if stage.mixture is None:
            return {self.name: NATURAL}
        label = names_label(stage.mixture)
        at = f"{self.name}/{label}"
        weights = {f"{at}/{name}": weight for name, weight in stage.mixture.items()}
        return {self.name: label, at: mixture_words(stage.mixture), **weights}

    def union(self, choices: Sequence[Mixtures | None]) -> Mixtures | None:
        """Return all mixtures of all stages; those of the same names that are searched become one."""
        every = tuple(chain.from_iterable((NATURAL,) if own is None else own for own in choices))
        return tuple(chain.from_iterable(_united(group) for group in _groups(every).values()))


def _groups(choices: Mixtures) -> dict[str, list[Weights]]:
    """Mixtures by the names of their sources; an empty list for the shares of the text."""
    found: dict[str, list[Weights]] = {}
    for choice in choices:
        if isinstance(choice, str):
            found.setdefault(NATURAL, [])
        else:
            found.setdefault(names_label(choice), []).append(choice)
    return found


def _group_parameters(at: str, group: Sequence[Weights], when: tuple[Condition, ...]) -> Iterator[Parameter]:
    if group and all(map(is_fixed, group)):
        yield Parameter(name=at, choices=tuple(mixture_words(fixed_weights(one)) for one in group), when=when)
        return
    for weights in group:
        for name, weight in weights.items():
            if not isinstance(weight, str):
                yield numeric_parameter(f"{at}/{name}", weight, when=when)


def _united(group: Sequence[Weights]) -> Iterator[Literal["natural"] | dict[str, Numeric | Literal["rest"]]]:
    """One mixture that holds all of a group, or all of them if they are fixed, each once."""
    if not group:
        yield NATURAL
    elif all(map(is_fixed, group)):
        words = {mixture_words(fixed_weights(weights)): dict(weights) for weights in group}
        yield from words.values()
    else:
        yield _joined(group)


def _joined(group: Sequence[Weights]) -> dict[str, Numeric | Literal["rest"]]:
    rests = {_rest_of(weights) for weights in group if not is_fixed(weights)}
    rest = rests.pop() if len(rests) == 1 else None
    return {
        name: REST if name == rest else union([_numbers(_in_parts(weights), name) for weights in group])
        for name in group[0]
    }


def _rest_of(weights: Weights) -> str | None:
    return next((name for name, weight in weights.items() if weight == REST), None)


def _in_parts(weights: Weights) -> Weights:
    """Fixed weights as shares, of which any one is the rest of the others."""
    if not is_fixed(weights):
        return weights
    own = shares(fixed_weights(weights))
    return {name: own.get(name, 0.0) for name in weights}


def _numbers(weights: Weights, name: str) -> Numeric:
    """What a weight may be; the rest is between what is left at most and at least."""
    weight = weights[name]
    if not isinstance(weight, str):
        return weight
    others = [numbers_of(other) for other in weights.values() if not isinstance(other, str)]
    low, high = (max(0.0, round(1 - sum(map(end, others)), _DIGITS)) for end in (max, min))
    return Range(low=low, high=high) if low < high else low
