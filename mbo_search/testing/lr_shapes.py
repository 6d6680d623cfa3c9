"""The conformance suite of learning-rate shapes: pure functions with factors in (0, 1]."""

from __future__ import annotations

import itertools
from dataclasses import replace

from mbo_search.study.catalogue.entries import LrShapeDefinition, StageClock
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.testing.definitions import check_definition, check_hparams

_ANNEALED = 0.05


def check_lr_shape(shape: LrShapeDefinition) -> None:
    """Run every check on a learning-rate shape; it need not be registered.

    Raises:
        AssertionError: If one does not hold.
    """
    check_definition(shape, is_built_in=shape.name in LR_SHAPES.built_in)
    check_hparams(shape.hparams)
    for stage_steps, warmup_steps in itertools.product((1, 2, 17, 100), (0, 1, 16)):
        if warmup_steps < stage_steps:
            _check_factors(shape, StageClock(stage_steps=stage_steps, warmup_steps=warmup_steps, budget_steps=200))
    if shape.imitated is not None:
        _check_imitated(shape)
    counted = shape if shape.imitated is None else replace(shape, factor=shape.imitated)
    end = _factors(counted, StageClock(stage_steps=1000, warmup_steps=0, budget_steps=1000))[-1]
    assert (end < _ANNEALED) == shape.anneals, f"anneals is {shape.anneals}, but the last factor is {end:.3g}"


def _check_imitated(shape: LrShapeDefinition) -> None:
    """The decay that a mean imitates begins at exactly 1 and never rises, so that no coefficient is negative."""
    assert shape.imitated is not None
    imitated = replace(shape, factor=shape.imitated)
    for stage_steps, warmup_steps in itertools.product((1, 2, 17, 100), (0, 1, 16)):
        if warmup_steps < stage_steps:
            clock = StageClock(stage_steps=stage_steps, warmup_steps=warmup_steps, budget_steps=200)
            _check_factors(imitated, clock)
            factors = _factors(imitated, clock)
            assert factors[0] == 1.0, f"the imitated decay begins at {factors[0]!r} with {clock}, not at 1"
            assert factors == sorted(factors, reverse=True), f"the imitated decay rises with {clock}"


def _check_factors(shape: LrShapeDefinition, clock: StageClock) -> None:
    factors = _factors(shape, clock)
    for step, factor in enumerate(factors):
        assert 0 < factor <= 1, f"factor {factor!r} of step {step} with {clock} is not in (0, 1]"
    assert factors == _factors(shape, clock), "two calls give different factors"
    assert factors[::-1] == [_factor(shape, step, clock) for step in reversed(range(len(factors)))], (
        "a factor depends on the steps that were asked for before"
    )


def _factors(shape: LrShapeDefinition, clock: StageClock) -> list[float]:
    return [_factor(shape, step, clock) for step in range(clock.stage_steps - clock.warmup_steps)]


def _factor(shape: LrShapeDefinition, step: int, clock: StageClock) -> float:
    return shape.factor(step, {name: info.default for name, info in shape.hparams.items()}, clock)
