"""The ladder of a study: which freedoms its question is about, and the spaces of those that it is compared with.

A claim about one freedom is worth what its opponents were allowed. So every freedom that is not asked about is
theirs: whoever asks whether settings should change between stages has to beat a single strategy whose learning
rate may take any line, and whoever asks about changing the optimizer has to beat both.

    tuned      one stage, named shapes in their default settings
    line       one stage, its shape's settings free: decays of any length on the grid, other lines, a floor
    shape      the study's stages with one strategy: only learning rate, shape and warm-up change between them
    settings   the study's stages with one optimizer

`line` and `shape` are two searches for the same freedom, the learning rate at every step; together with the
searches before them they make up what a rung holds, so that each rung contains the one below it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from types import MappingProxyType
from typing import Literal

from mbo_search.study.catalogue.entries import StageClock
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.space.axes import StageAxes
from mbo_search.study.space.custom_axes import custom_may_change
from mbo_search.study.space.defaults import stage_with_defaults
from mbo_search.study.space.dimensions.table import dimensions_may_change
from mbo_search.study.space.settings import hparam_values
from mbo_search.study.space.single_strategy import averages_of, control_axes
from mbo_search.study.space.space import Space, resolved_stages, space_of, staged_space
from mbo_search.study.spec.annealing import is_annealed
from mbo_search.study.spec.budget import coarsest_budget
from mbo_search.study.spec.rungs import RUNGS, Rung, rungs_below
from mbo_search.study.spec.schedule import LrShape
from mbo_search.study.spec.sections.choices import LrShapeChoice, OptimizerChoice
from mbo_search.study.spec.sections.values import Numeric
from mbo_search.study.spec.segments import BudgetSteps
from mbo_search.study.spec.study import StudySpec

LowerSearch = Literal["tuned", "line", "shape", "settings"]
"""A search among the opponents of a study's question."""

SearchName = Literal["staged", "tuned", "line", "shape", "settings"]
"""A search of a study: `staged` is that of the question itself."""

RUNG_OF_SEARCH: Mapping[LowerSearch, Rung] = MappingProxyType(
    {"tuned": "tuned", "line": "shape", "shape": "shape", "settings": "settings"}
)

_LINES = ("cosine", "linear", "wsd")
_DECAYS = tuple(tenth / 10 for tenth in range(1, 10))
_FLOORS = (0.0, 0.05)
"""Of the opponents' lines. A floor of a tenth would not count as annealed: no line is on its floor at its end."""


def top_rung(study: StudySpec) -> Rung:
    """The highest rung that a study's own stages reach."""
    stages = resolved_stages(study)
    if len(stages) == 1:
        return "shape" if any(_is_shaped(choice) for choice in stages[0].lr_shapes) else "tuned"
    if study.at_most.optimizer_changes != 0 and len({c.name for axes in stages for c in axes.optimizers}) > 1:
        return "switch"
    return "settings" if _settings_may_change(study, stages) else "shape"


def question_of(study: StudySpec) -> Rung:
    """The freedom that a study asks about: what it declares, else the highest of its space."""
    if study.control.keeps == "optimizer":
        return "switch"
    return top_rung(study) if study.control.question == "auto" else study.control.question


def rungs_of(study: StudySpec) -> tuple[Rung, ...]:
    """The rungs of a study's ladder, up to the one that it asks about; those that add nothing are left out."""
    question = question_of(study)
    untuned: tuple[Rung, ...] = ("untuned",) if study.baselines else ()
    if study.control.share == 0:
        return (*untuned, question)
    searched = {RUNG_OF_SEARCH[name] for name in lower_spaces(study)}
    return tuple(rung for rung in RUNGS if rung in (*untuned, *searched, question))


def asked_space(study: StudySpec) -> Space:
    """Space that the side of the question searches: the study's stages, as far as the question goes.

    Raises:
        StudyError: If the budget is below one optimizer step per grid segment.
    """
    question = question_of(study)
    if question == "settings" and top_rung(study) == "switch":
        return _settings_space(study)
    if question == "shape" and top_rung(study) in ("settings", "switch"):
        return _shape_space(study)
    return _tuned_space(study) if question == "tuned" and top_rung(study) != "tuned" else staged_space(study)


def lower_spaces(study: StudySpec) -> dict[LowerSearch, Space]:
    """The spaces of the opponents, lowest rung first; none where nothing is searched below the question.

    Raises:
        StudyError: If the budget is below one optimizer step per grid segment.
    """
    if study.control.share == 0:
        return {}
    below = rungs_below(question_of(study))
    spaces: dict[LowerSearch, Space] = {}
    if "tuned" in below:
        spaces["tuned"] = _tuned_space(study)
    if "shape" in below:
        spaces["line"] = _line_space(study)
        if len(study.stages) > 1:
            spaces["shape"] = _shape_space(study)
    if "settings" in below and _settings_may_change(study, resolved_stages(study)):
        spaces["settings"] = _settings_space(study)
    return spaces


def search_spaces(study: StudySpec) -> dict[SearchName, Space]:
    """The space of each search: of the question's own first, then of its opponents.

    Raises:
        StudyError: If the budget is below one optimizer step per grid segment.
    """
    spaces: dict[SearchName, Space] = {"staged": asked_space(study)}
    spaces.update(lower_spaces(study).items())
    return spaces


def _tuned_space(study: StudySpec) -> Space:
    staged = staged_space(study)
    return space_of(study, (control_axes(staged.stages, staged.reference_lrs),))


def _line_space(study: StudySpec) -> Space:
    """One stage whose decay has any length on the grid, either line and a floor; averages, where there are any."""
    staged = staged_space(study)
    axes = control_axes(staged.stages, staged.reference_lrs)
    stages = [stage_with_defaults(study, index) for index in range(len(study.stages))]
    decays = _decays(coarsest_budget(study, *stages))
    hparams = {"wsd": {"decay": decays, "kind": LR_SHAPES["wsd"].hparams["kind"].choices}}
    shapes = [LrShapeChoice(kind=kind, hparams={"floor": _FLOORS, **hparams.get(kind, {})}) for kind in _LINES]
    if "average" in averages_of(staged.stages):
        lines = LR_SHAPES["average"].hparams["like"].choices
        shapes.append(LrShapeChoice(kind="average", hparams={"span": decays, "like": lines}))
    return space_of(study, (replace(axes, lr_shapes=tuple(shapes)),))


def _decays(budget: BudgetSteps) -> tuple[float, ...]:
    """Lengths on the grid that end annealed along either line, on either floor: few steps end too high."""
    clock = StageClock(stage_steps=budget.total_steps, warmup_steps=0, budget_steps=budget.total_steps)
    on_grid = {round(decay * budget.num_segments) / budget.num_segments for decay in _DECAYS} - {0.0, 1.0}
    slowest = {
        decay: LrShape(kind="wsd", hparams={"decay": decay, "kind": "linear", "floor": max(_FLOORS)})
        for decay in sorted(on_grid)
    }
    return tuple(decay for decay, shape in slowest.items() if is_annealed("adamw", shape, clock)) or (1.0,)


def _shape_space(study: StudySpec) -> Space:
    """The study's stages with one strategy; each has its own share, learning rate, shape and re-warm-up."""
    staged = staged_space(study)
    single = control_axes(staged.stages, staged.reference_lrs)
    stages = tuple(
        replace(
            single,
            name=axes.name,
            share=axes.share,
            lr_shapes=axes.lr_shapes,
            warmup=axes.warmup,
            first_warmup=axes.first_warmup,
            hand_over=("carry",) if axes.hand_over else (),
            adapter=axes.adapter,
        )
        for axes in staged.stages
    )
    return space_of(study, stages, "strategy")


def _settings_space(study: StudySpec) -> Space:
    """The study's stages with one optimizer, out of all that any of them offers."""
    staged = staged_space(study)
    single = control_axes(staged.stages, staged.reference_lrs)
    return space_of(study, tuple(_with_all_optimizers(axes, single) for axes in staged.stages), "optimizer")


def _with_all_optimizers(axes: StageAxes, single: StageAxes) -> StageAxes:
    """A stage that offers every optimizer of the study; its own ones keep their settings and learning rates."""
    own = {choice.name: choice for choice in axes.optimizers}
    rates = {name: lr for name, lr in single.absolute_lr.items() if name not in own}
    return replace(
        axes,
        optimizers=tuple(own.get(choice.name, choice) for choice in single.optimizers),
        absolute_lr={**rates, **axes.absolute_lr} if axes.relative_lr is None else {},
    )


def _is_shaped(choice: LrShapeChoice) -> bool:
    known = LR_SHAPES[choice.kind].hparams
    return hparam_values(known, choice.hparams) != {name: info.default for name, info in known.items()}


def _settings_may_change(study: StudySpec, stages: Sequence[StageAxes]) -> bool:
    """Tell whether two stages can differ in more than learning rate and optimizer."""
    if len(stages) == 1:
        return False
    groups = {name for axes in stages for name in axes.groups}
    numerics: list[list[Numeric | None]] = [
        [axes.weight_decay for axes in stages],
        [axes.clip_norm for axes in stages],
        [axes.layer_decay for axes in stages],
        *([axes.groups.get(name) for axes in stages] for name in groups),
    ]
    return (
        (study.at_most.resets != 0 and any("reset" in axes.hand_over for axes in stages))
        or any(axes.timescale is not None for axes in stages)  # its decay follows the stage's learning rate
        or any(_differ(values) for values in numerics)
        or len({_strengths(axes) for axes in stages}) > 1
        or any(len(axes.regularizers) > 1 or _has_free_strength(axes) for axes in stages)
        or len(set(chain.from_iterable(axes.trainable for axes in stages))) > 1
        or _hparams_may_differ(stages)
        or custom_may_change([axes.custom for axes in stages])
        or dimensions_may_change([axes.dimensions for axes in stages])
    )


def _differ(values: Sequence[Numeric | None]) -> bool:
    return len(set(values)) > 1 or not all(value is None or isinstance(value, float | int) for value in values)


def _strengths(axes: StageAxes) -> frozenset[tuple[str, object]]:
    return frozenset((choice.kind, choice.strength) for choices in axes.regularizers for choice in choices)


def _has_free_strength(axes: StageAxes) -> bool:
    choices = chain.from_iterable(axes.regularizers)
    return any(not isinstance(choice.strength, float | int) for choice in choices if choice.kind in REGULARIZERS)


def _hparams_may_differ(stages: Sequence[StageAxes]) -> bool:
    """Tell whether an optimizer that two stages offer may have other settings in one of them."""
    return any(
        one.name == other.name and (one.hparams != other.hparams or _are_searched(one))
        for before, after in itertools.combinations(stages, 2)
        for one, other in itertools.product(before.optimizers, after.optimizers)
    )


def _are_searched(choice: OptimizerChoice) -> bool:
    values: Iterable[object] = choice.hparams.values()
    return any(not isinstance(value, float | int | str) for value in values)
