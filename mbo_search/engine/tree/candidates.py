"""Candidate schedules: neighbors of good ones, new continuations of good prefixes, and random ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mbo_search.engine.tree.history import History, Params, Prefix, blocks_of, prefix_params, stage_of
from mbo_search.engine.tree.points import Define
from mbo_search.study.space.parameters import round_sampled

Candidates = dict[Prefix, Params]
"""Schedules to score, by their blocks."""

NUM_ELITES = 10
LOCAL_SPREAD = 0.15
"""Standard deviation of a local step, as a share of the parameter's range."""


class KeepSuggest:
    """Suggests given values where they are allowed, and random ones elsewhere.

    Attributes:
        params: The values so far, by name.
    """

    def __init__(self, rng: np.random.Generator, keep: Params, near: Params) -> None:
        """Prepare to suggest."""
        self._rng = rng
        self._keep = keep
        self._near = near
        self.params: dict[str, str | float | int] = {}

    def categorical(self, name: str, choices: Sequence[str | float]) -> str | float:
        """Choose one of several values."""
        kept = self._keep.get(name)
        value = kept if kept in choices else choices[int(self._rng.integers(len(choices)))]
        assert value is not None
        self.params[name] = value
        return value

    def number(self, name: str, low: float, high: float, *, log: bool, step: float | None) -> float:
        """Choose a number in [low, high], on a grid from `low` if there is a step."""
        kept = self._keep.get(name)
        if isinstance(kept, (int, float)) and low <= kept <= high:
            value = float(kept)
        else:
            value = self._draw(self._near.get(name), (low, high), log=log, step=step)
        self.params[name] = value
        return value

    def _draw(
        self, center: str | float | None, ends: tuple[float, float], *, log: bool, step: float | None
    ) -> float:
        low, high = (math.log(end) for end in ends) if log else ends
        if isinstance(center, (int, float)) and self._rng.random() < 0.5:
            middle = math.log(center) if log else center
            raw = self._rng.normal(middle, LOCAL_SPREAD * (high - low))
        else:
            raw = self._rng.uniform(low, high)
        value = math.exp(raw) if log else raw
        if step is not None:
            value = ends[0] + step * round((value - ends[0]) / step)
            return min(max(value, ends[0]), ends[1])
        return min(max(round_sampled(value), ends[0]), ends[1])


class _EndsSuggest:
    """Suggests random names, and ends of ranges."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.params: dict[str, str | float | int] = {}

    def categorical(self, name: str, choices: Sequence[str | float]) -> str | float:
        """Choose one of several values."""
        self.params[name] = choices[int(self._rng.integers(len(choices)))]
        return self.params[name]

    def number(self, name: str, low: float, high: float, *, log: bool, step: float | None) -> float:
        """Choose an end."""
        self.params[name] = value = float((low, high)[int(self._rng.integers(2))])
        return value


def ends(define: Define, rng: np.random.Generator, count: int) -> list[Params]:
    """Draw schedules whose numbers lie at the ends of their ranges."""
    found: list[Params] = []
    for _ in range(count):
        suggest = _EndsSuggest(rng)
        define(suggest)
        found.append(suggest.params)
    return found


def complete_params(define: Define, rng: np.random.Generator, keep: Params, near: Params) -> Params:
    """Complete some values to a whole schedule of the space."""
    suggest = KeepSuggest(rng, keep, near)
    define(suggest)
    return suggest.params


def draw_candidates(history: History, define: Define, rng: np.random.Generator, count: int) -> Candidates:
    """Gather whole schedules to score: half near good ones, a quarter on good prefixes, a quarter random."""
    elites = [one.params for one in history.complete[:NUM_ELITES]]
    nodes = _good_prefixes(history)
    drawn: Candidates = {}
    for index in range(count):
        elite = elites[int(rng.integers(len(elites)))]
        if index % 4 < 2:
            params = _mutate(define, rng, elite)
        elif index % 4 == 2 and nodes:
            params = _extend(define, rng, nodes[int(rng.integers(len(nodes)))], elite)
        else:
            params = complete_params(define, rng, {}, {})
        drawn.setdefault(blocks_of(params, history.num_stages), params)
    return drawn


def neighbors(
    define: Define, rng: np.random.Generator, centers: Sequence[Params], *, count: int, num_stages: int
) -> Candidates:
    """Gather schedules that differ in one or two values from given ones."""
    drawn: Candidates = {}
    for index in range(count):
        params = _mutate(define, rng, centers[index % len(centers)])
        drawn.setdefault(blocks_of(params, num_stages), params)
    return drawn


def _mutate(define: Define, rng: np.random.Generator, elite: Params) -> Params:
    """Draw one or two values of a good schedule again."""
    names = list(elite)
    number = min(len(names), 1 + int(rng.random() < 0.3))
    changed = {names[int(index)] for index in rng.integers(len(names), size=number)}
    keep = {name: value for name, value in elite.items() if name not in changed}
    return complete_params(define, rng, keep, elite)


def _extend(define: Define, rng: np.random.Generator, node: Params, elite: Params) -> Params:
    """Continue a good prefix at random, or as a good schedule ends."""
    last = max((stage_of(name) for name in node), default=-1)
    ending = {name: value for name, value in elite.items() if stage_of(name) > last}
    keep = {**node, **ending} if rng.random() < 0.5 else node
    return complete_params(define, rng, keep, elite)


def _good_prefixes(history: History) -> list[Params]:
    """Find the prefixes with the lowest losses after each stage but the last."""
    found: dict[Prefix, Params] = {}
    for stage in range(history.num_stages - 1):
        reached = sorted(
            (one.boundaries[stage], index) for index, one in enumerate(history.trials) if stage in one.boundaries
        )
        for _, index in reached[:NUM_ELITES]:
            one = history.trials[index]
            found.setdefault(one.blocks[: stage + 1], prefix_params(one.params, stage))
    return list(found.values())
