"""One stage's choices, resolved: every setting known, and the parameters that a search chooses in it.

`StageAxes` is what a stage of a study means once the defaults are merged; `stage_parameters` declares its
parameters by their names, and `build_stage` turns chosen values into a stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mbo_search.study.catalogue.hand_over import can_carry
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.space.custom_axes import OF_STAGE, OF_STUDY, CustomAxes, custom_parameters
from mbo_search.study.space.dimensions.table import DimensionChoices, dimension_parameters
from mbo_search.study.space.optional import may_be_left_out
from mbo_search.study.space.parameters import Condition, Parameter, numeric_parameter
from mbo_search.study.space.settings import (
    RegularizerSet,
    equals,
    hparam_values,
    one_of,
    set_label,
    setting_parameters,
)
from mbo_search.study.spec.adapters import LoraSpec
from mbo_search.study.spec.schedule import HandOver
from mbo_search.study.spec.sections.choices import LrShapeChoice, OptimizerChoice
from mbo_search.study.spec.sections.values import Numeric, Range, numbers_of

AbsoluteLr = Mapping[str, Numeric]
"""Peak learning rate by optimizer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageAxes:
    """One stage with every setting resolved.

    Attributes:
        name: For people.
        share: Choices, or an interval on the grid, where 0 leaves the stage out; None for the rest.
        optimizers: The optimizers to choose from.
        relative_lr: Factor of the reference learning rate, shared by the optimizers; None if `absolute_lr` counts.
        absolute_lr: Peak learning rate by optimizer; empty if `relative_lr` counts.
        lr_shapes: The shapes to choose from.
        warmup: Warm-up as a share of the budget; None: automatic (later stages only).
        weight_decay: Decoupled weight decay; None if `timescale` counts.
        clip_norm: Largest gradient norm; None: no clipping.
        regularizers: The sets to choose from.
        trainable: The parameter blocks to choose from.
        hand_over: What may happen to the optimizer state; empty for the first stage.
        timescale: Timescale of the weight decay as a share of the budget; None if `weight_decay` counts.
        layer_decay: Learning rate of a layer over that of the layer above it; None: the same in all.
        groups: Settings of kinds of blocks, such as `embeddings/lr_ratio`; those that are not set are the stage's.
        adapter: Adapters that are put beside the weights when the first stage begins; None in those that never are
            the first.
        custom: Settings of the user's own that are chosen for this stage.
        common: Settings of the user's own that are chosen once, for all stages of a schedule.
        dimensions: Choices of the further settings that the stage sets.
        first_warmup: Warm-up of a later stage where all before it are left out; None where one of them never is.
        lr_with_batch: Whether learning rates grow with the square root of the batch.
    """

    name: str
    share: Numeric | None
    optimizers: tuple[OptimizerChoice, ...]
    relative_lr: Numeric | None
    absolute_lr: AbsoluteLr
    lr_shapes: tuple[LrShapeChoice, ...]
    warmup: Numeric | None
    weight_decay: Numeric | None
    clip_norm: Numeric | None
    regularizers: tuple[RegularizerSet, ...]
    trainable: tuple[str, ...]
    hand_over: tuple[HandOver, ...]
    timescale: Numeric | None = None
    layer_decay: Numeric | None = None
    groups: Mapping[str, Numeric] = field(default_factory=dict)
    adapter: LoraSpec | None = None
    custom: CustomAxes = field(default_factory=dict)
    common: CustomAxes = field(default_factory=dict)
    dimensions: DimensionChoices = field(default_factory=dict)
    lr_with_batch: bool = False
    first_warmup: Numeric | None = None

    @property
    def is_optional(self) -> bool:
        """Whether it may be left out of a schedule."""
        return may_be_left_out(self.share)


def stage_parameters(axes: StageAxes, index: int, *, previous: StageAxes | None, grid: float) -> list[Parameter]:
    """Declare the parameters of a stage, fixed ones included, in the order in which they are chosen."""
    at = f"stage/{index}"
    optimizer = f"{at}/optimizer"
    return [
        *_share_parameter(axes, at, grid),
        Parameter(name=optimizer, choices=tuple(choice.name for choice in axes.optimizers)),
        *_hparam_parameters(axes, at),
        *_lr_parameters(axes, at),
        *_shape_parameters(axes, at),
        *_number_parameters(axes, at, is_first=previous is None),
        *_group_parameters(axes, at),
        *_adapter_parameters(axes, at),
        *_regularizer_parameters(axes, at),
        Parameter(name=f"{at}/trainable", choices=axes.trainable),
        *dimension_parameters(at, axes.dimensions),
        *_hand_over_parameter(axes, index, previous),
        *custom_parameters(f"{at}/{OF_STUDY}", axes.common),
        *custom_parameters(f"{at}/{OF_STAGE}", axes.custom),
    ]


def _share_parameter(axes: StageAxes, at: str, grid: float) -> list[Parameter]:
    """Shares are asked for as shares, not segments, so that a study's numbers appear in its results."""
    name = f"{at}/share"
    if axes.share is None:
        return []
    if isinstance(axes.share, Range):
        return [Parameter(name=name, low=axes.share.low, high=axes.share.high, step=grid)]
    return [numeric_parameter(name, axes.share)]


def _hparam_parameters(axes: StageAxes, at: str) -> list[Parameter]:
    found: list[Parameter] = []
    for choice in axes.optimizers:
        when = (equals(f"{at}/optimizer", choice.name),)
        values = hparam_values(OPTIMIZERS[choice.name].hparams, choice.hparams)
        found += setting_parameters(f"{at}/{choice.name}", values, OPTIMIZERS[choice.name].hparams, when)
    return found


def _lr_parameters(axes: StageAxes, at: str) -> list[Parameter]:
    if axes.relative_lr is not None:
        return [numeric_parameter(f"{at}/lr_relative", axes.relative_lr, log=True)]
    return [
        numeric_parameter(f"{at}/lr/{name}", numeric, log=True, when=(equals(f"{at}/optimizer", name),))
        for name, numeric in axes.absolute_lr.items()
    ]


def _shape_parameters(axes: StageAxes, at: str) -> list[Parameter]:
    """The shape is not chosen for optimizers that replace its decay."""
    free = [choice.name for choice in axes.optimizers if not OPTIMIZERS[choice.name].constant_lr_only]
    if not free:
        return []
    name = f"{at}/lr_shape"
    kinds = tuple(choice.kind for choice in axes.lr_shapes)
    found = [Parameter(name=name, choices=kinds, when=(one_of(f"{at}/optimizer", free),))]
    for choice in axes.lr_shapes:
        values = hparam_values(LR_SHAPES[choice.kind].hparams, choice.hparams)
        when = (equals(name, choice.kind),)
        found += setting_parameters(f"{at}/{choice.kind}", values, LR_SHAPES[choice.kind].hparams, when)
    return found


def _number_parameters(axes: StageAxes, at: str, *, is_first: bool) -> list[Parameter]:
    found: list[Parameter] = []
    if axes.warmup is not None:
        found.append(numeric_parameter(f"{at}/warmup" if is_first else f"{at}/rewarm", axes.warmup))
    when = _where_weights_decay(axes, at)
    for name, numeric in (("weight_decay", axes.weight_decay), ("weight_decay_timescale", axes.timescale)):
        if when is not None and numeric is not None:
            found.append(numeric_parameter(f"{at}/{name}", numeric, log=True, when=when))
    if axes.clip_norm is not None:
        found.append(numeric_parameter(f"{at}/clip_norm", axes.clip_norm))
    return found


def _group_parameters(axes: StageAxes, at: str) -> list[Parameter]:
    """Learning rates and weight decays of parts of the model, as far as a study sets them."""
    found: list[Parameter] = []
    if axes.layer_decay is not None:
        found.append(numeric_parameter(f"{at}/layer_decay", axes.layer_decay))
    decaying = _where_weights_decay(axes, at)
    for name, numeric in axes.groups.items():
        when = decaying if name.endswith("/weight_decay") else ()
        if when is not None:
            log = min(numbers_of(numeric)) > 0
            found.append(numeric_parameter(f"{at}/groups/{name}", numeric, log=log, when=when))
    return found


def _adapter_parameters(axes: StageAxes, at: str) -> list[Parameter]:
    """Without a list of alphas there is nothing to choose: each follows from its rank."""
    if axes.adapter is None:
        return []
    lora = axes.adapter
    return [
        Parameter(name=f"{at}/lora/rank", choices=lora.rank),
        *([] if lora.alpha is None else [Parameter(name=f"{at}/lora/alpha", choices=lora.alpha)]),
        Parameter(name=f"{at}/lora/dropout", choices=lora.dropout),
        Parameter(name=f"{at}/lora/targets", choices=lora.targets),
    ]


def _where_weights_decay(axes: StageAxes, at: str) -> tuple[Condition, ...] | None:
    """The optimizers whose weight decay acts; None if there are none."""
    decaying = [choice.name for choice in axes.optimizers if OPTIMIZERS[choice.name].decoupled_decay]
    return (one_of(f"{at}/optimizer", decaying),) if decaying else None


def _regularizer_parameters(axes: StageAxes, at: str) -> list[Parameter]:
    name = f"{at}/regularizers"
    found = [Parameter(name=name, choices=tuple(set_label(choices) for choices in axes.regularizers))]
    for choices in axes.regularizers:
        label = set_label(choices)
        for choice in choices:
            found.append(
                numeric_parameter(
                    f"{name}/{label}/{choice.kind}",
                    choice.strength,
                    log=REGULARIZERS[choice.kind].log,
                    when=(equals(name, label),),
                )
            )
    return found


def _hand_over_parameter(axes: StageAxes, index: int, previous: StageAxes | None) -> list[Parameter]:
    """Chosen only for pairs of optimizers between which state can be carried."""
    if previous is None:
        return []
    pairs = frozenset(
        (before.name, after.name)
        for before in previous.optimizers
        for after in axes.optimizers
        if can_carry(before.name, after.name)
    )
    names = (f"stage/{index - 1}/optimizer", f"stage/{index}/optimizer")
    when = (Condition(names=names, allowed=pairs),)
    return [Parameter(name=f"stage/{index}/hand_over", choices=axes.hand_over, when=when)]
