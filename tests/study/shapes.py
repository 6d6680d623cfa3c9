"""Hypothesis strategies for learning-rate shapes and stage clocks."""

from __future__ import annotations

from hypothesis import strategies as st

from mbo_search.study.catalogue.entries import StageClock
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.spec.schedule import LrShape


def clocks(max_steps=400):
    """Stages of up to `max_steps` steps with any warm-up shorter than the stage."""
    return st.integers(1, max_steps).flatmap(
        lambda stage_steps: st.builds(
            StageClock,
            stage_steps=st.just(stage_steps),
            warmup_steps=st.integers(0, stage_steps - 1),
            budget_steps=st.integers(stage_steps, 4 * max_steps),
        )
    )


def shapes(kinds=tuple(LR_SHAPES), max_floor=1.0):
    """Every shape with any allowed settings."""
    return st.sampled_from(kinds).flatmap(lambda kind: _shape(kind, max_floor))


def _shape(kind, max_floor):
    settings = {}
    for name, info in LR_SHAPES[kind].hparams.items():
        if info.choices:
            settings[name] = st.sampled_from(info.choices)
        else:
            high = max_floor if name == "floor" else info.high
            settings[name] = st.floats(info.low, high)
    return st.builds(LrShape, kind=st.just(kind), hparams=st.fixed_dictionaries(settings))
