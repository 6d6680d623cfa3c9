"""Parameters of stages of which some may be left out, or whose schedules have limits.

They are those of stages that are always trained, under conditions on where a schedule stands:
`route/<stage>/before` tells what was used of the limits, `route/<stage>/trained` whether the stage is trained.
Nobody is asked for these. Where a limit leaves one choice the parameter does not exist; where it leaves some of the
choices they are asked for under a name of their own, because a searcher must see one name with one list of choices.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mbo_search.study.space.axes import StageAxes, stage_parameters
from mbo_search.study.space.parameters import Condition, Declaration, Derived, Parameter, Value, numeric_parameter
from mbo_search.study.space.routes import Routes, StageOffers, Used, with_one_optimizer
from mbo_search.study.space.tied import NOTHING, Tied
from mbo_search.study.spec.sections.stages import AtMostSpec

NO_LIMITS = AtMostSpec()

_TRAINED, _LEFT_OUT = "trained", "left out"

_Standing = tuple[Value | None, ...]
"""How a stage was passed: what was used before it, whether it is trained, its hand-over and its optimizer."""


def has_routes(stages: Sequence[StageAxes], limits: AtMostSpec) -> bool:
    """Tell whether the stages that are trained, or what they may be trained with, depend on earlier choices."""
    return any(axes.is_optional for axes in stages) or (limits != NO_LIMITS and len(stages) > 1)


def routes_of(stages: Sequence[StageAxes], limits: AtMostSpec, tied: Tied = NOTHING) -> Routes:
    """The ways through some stages."""
    offers = [
        StageOffers(
            optimizers=tuple(choice.name for choice in axes.optimizers),
            hand_overs=axes.hand_over,
            is_optional=axes.is_optional,
        )
        for axes in stages
    ]
    return Routes(offers if tied == NOTHING else [*map(with_one_optimizer, offers)], limits)


def route_declarations(
    stages: Sequence[StageAxes], limits: AtMostSpec, tied: Tied, grid: float
) -> tuple[Declaration, ...]:
    """Declare the parameters of all stages, and what their conditions name."""
    routes = routes_of(stages, limits, tied)
    previous = (None, *stages[:-1])
    return tuple(
        one
        for index, (before, axes) in enumerate(zip(previous, stages, strict=True))
        for one in _StageOnRoutes(axes, index, routes, tied).declarations(
            stage_parameters(axes, index, previous=before, grid=grid)
        )
    )


class _StageOnRoutes:
    """A stage, and what may have come before it."""

    def __init__(self, axes: StageAxes, index: int, routes: Routes, tied: Tied) -> None:
        self._axes = axes
        self._index = index
        self._routes = routes
        self._is_tied = tied != NOTHING
        self._at = f"stage/{index}"
        self._before = f"route/{index}/before"
        self._states = routes.before(index)
        self._trainable = [used for used in self._states if routes.optimizers(index, used)]

    def declarations(self, own: Sequence[Parameter]) -> Iterator[Declaration]:
        """Declare its parameters, out of those that it would have if it were always trained."""
        share = f"{self._at}/share"
        yield self._derived_before()
        yield from (new for one in own if one.name == share for new in self._shares(one))
        if self._axes.is_optional:
            yield Derived(
                name=f"route/{self._index}/trained",
                reads=(share,),
                values=(_TRAINED, _LEFT_OUT),
                follow=functools.partial(_is_trained, share),
            )
        for one in (*self._first_warmup(), *own):
            if one.name != share:
                yield from (replace(new, when=(*self._if_trained, *new.when)) for new in self._on_routes(one))

    def _shares(self, parameter: Parameter) -> Iterator[Parameter]:
        """The shares; where the stages after it need the stage, those above 0 alone."""
        needed = [used for used in self._trainable if not self._routes.can_be_left_out(self._index, used)]
        if not self._axes.is_optional or not needed:
            yield replace(parameter, when=self._if_among(self._trainable))
            return
        yield replace(parameter, when=self._if_among([used for used in self._trainable if used not in needed]))
        above = tuple(choice for choice in parameter.choices if choice)
        asked_as = f"{parameter.name}/above_0" if len(above) != 1 else None
        low = parameter.step or 0.0
        yield replace(parameter, choices=above, low=low, when=self._if_among(needed), asked_as=asked_as)

    def _on_routes(self, parameter: Parameter) -> Iterator[Parameter]:
        """A parameter under the conditions of the routes."""
        setting = parameter.name.removeprefix(f"{self._at}/")
        if setting == "optimizer" and not self._is_tied:
            yield from self._optimizers(parameter)
        elif setting == "hand_over":
            yield from self._hand_overs(parameter)
        elif setting == "rewarm":
            later = [used for used in self._trainable if not used.is_first]
            yield replace(parameter, when=(*parameter.when, *self._if_among(later)))
        elif setting == "warmup" or setting.startswith("lora/"):
            first = [used for used in self._trainable if used.is_first]
            yield replace(parameter, when=(*parameter.when, *self._if_among(first)))
        else:
            yield parameter

    def _first_warmup(self) -> Iterator[Parameter]:
        """Warm-up of a stage that is the first one if those before it are left out."""
        if self._axes.first_warmup is not None and any(used.is_first for used in self._trainable):
            yield numeric_parameter(f"{self._at}/warmup", self._axes.first_warmup)

    def _optimizers(self, parameter: Parameter) -> Iterator[Parameter]:
        groups: dict[tuple[str, ...], list[Used]] = {}
        for used in self._trainable:
            groups.setdefault(self._routes.optimizers(self._index, used), []).append(used)
        for names, states in groups.items():
            is_some = 1 < len(names) < len(parameter.choices)
            yield replace(
                parameter,
                choices=names,
                when=self._if_among(states),
                asked_as=f"{parameter.name}/{'+'.join(names)}" if is_some else None,
            )

    def _hand_overs(self, parameter: Parameter) -> Iterator[Parameter]:
        groups: dict[tuple[Value, ...], set[tuple[Value, ...]]] = {}
        for used in self._trainable:
            for optimizer in self._routes.optimizers(self._index, used):
                allowed = self._routes.hand_overs(self._index, used, optimizer)
                if allowed:
                    groups.setdefault(allowed, set()).add(self._standing(used, optimizer))
        names = (self._before,) if self._is_tied else (self._before, f"{self._at}/optimizer")
        for choices, standings in groups.items():
            when = (Condition(names=names, allowed=frozenset(standings)),)
            yield replace(parameter, choices=choices, when=when)

    def _standing(self, used: Used, optimizer: str) -> tuple[Value, ...]:
        return (used.label,) if self._is_tied else (used.label, optimizer)

    @property
    def _if_trained(self) -> tuple[Condition, ...]:
        if not self._axes.is_optional:
            return ()
        return (Condition(names=(f"route/{self._index}/trained",), allowed=frozenset({(_TRAINED,)})),)

    def _if_among(self, states: Sequence[Used]) -> tuple[Condition, ...]:
        """The condition that a schedule stands at one of some states; none if it always does."""
        if len(states) == len(self._states):
            return ()
        return (Condition(names=(self._before,), allowed=frozenset((used.label,) for used in states)),)

    def _derived_before(self) -> Derived:
        labels = tuple(used.label for used in self._states)
        last = self._index - 1
        if last < 0:
            return Derived(name=self._before, reads=(), values=labels, follow=functools.partial(_always, labels[0]))
        reads = [f"route/{last}/before", f"route/{last}/trained", f"stage/{last}/hand_over"]
        reads += [] if self._is_tied else [f"stage/{last}/optimizer"]
        table = dict(_steps(self._routes, last, is_tied=self._is_tied))
        follow = functools.partial(_looked_up, tuple(reads), table)
        return Derived(name=self._before, reads=tuple(reads), values=labels, follow=follow)


def _steps(routes: Routes, index: int, *, is_tied: bool) -> Iterator[tuple[_Standing, str]]:
    """From the values that tell how a stage was passed to what is used after it.

    A stage that is always trained has no value that says so: both forms are entered.
    """
    for used in routes.before(index):
        if routes.can_be_left_out(index, used):
            yield (used.label, _LEFT_OUT, None, *([] if is_tied else [None])), used.label
        for optimizer in routes.optimizers(index, used):
            allowed = routes.hand_overs(index, used, optimizer)
            for how in allowed or (None,):
                after = routes.after(used, optimizer, how if allowed or used.is_first else "reset")
                for is_trained in (_TRAINED, None):
                    yield (used.label, is_trained, how, *([] if is_tied else [optimizer])), after.label


def _is_trained(share: str, values: Mapping[str, Value]) -> Value:
    return _TRAINED if float(values.get(share, 0.0)) > 0 else _LEFT_OUT


def _always(value: Value, values: Mapping[str, Value]) -> Value:
    return value


def _looked_up(reads: Sequence[str], table: Mapping[_Standing, str], values: Mapping[str, Value]) -> Value:
    return table[tuple(map(values.get, reads))]
