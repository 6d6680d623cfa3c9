"""A schedule: the complete recipe, an ordered tuple of stages, every setting a plain number or name.

This is what a search proposes, what a trial trains, and what `best.yaml` holds. Ranges and choices live in
`space`; steps and learning rates per step follow from `segments`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, SerializerFunctionWrapHandler, StrictFloat, StrictInt, model_serializer

from mbo_search.study.spec.adapters import Adapter
from mbo_search.study.spec.base import Description, without_empty, without_unset
from mbo_search.study.spec.dimensions.cycle import BlockCycle
from mbo_search.study.spec.dimensions.mixture import Mixture
from mbo_search.study.spec.dimensions.order import ReadingOrder
from mbo_search.study.spec.foreign.custom import CustomValue

HandOver = Literal["carry", "reset"]

LEFT_OUT_UNSET = (
    "layer_decay",
    "groups",
    "adapter",
    "mixture",
    "order",
    "shapes",
    "batch_tokens",
    "context",
    "cycle",
)
"""Settings of a strategy that are written only where they are set."""

BLOCK_KINDS = ("attention", "embeddings", "mlp", "norms")
"""Every parameter of a model belongs to exactly one of them."""

LORA = "lora"
"""The kind of the parameters that adapters add to a model."""


class LrShape(Description):
    """A named function from the progress in a stage to a factor of the peak learning rate.

    Attributes:
        kind: Name in `catalogue.LR_SHAPES`.
        hparams: Its settings, complete (such as `{"decay": 0.3, "kind": "sqrt", "floor": 0.0}` for `wsd`).
    """

    kind: str
    hparams: dict[str, StrictFloat | str] = {}


class Regularizer(Description):
    """One regularizer with its single number.

    Attributes:
        kind: Name in `catalogue.REGULARIZERS`.
        strength: Its number (dropout probability, z-loss coefficient, EMA decay, ...).
    """

    kind: str
    strength: StrictFloat


class BlockGroup(Description):
    """Settings of the parameters of one kind of block; None: those of the stage.

    Attributes:
        lr_ratio: Their learning rate over the stage's.
        weight_decay: Decoupled weight decay of their matrices.
    """

    lr_ratio: StrictFloat | None = Field(default=None, gt=0)
    weight_decay: StrictFloat | None = Field(default=None, ge=0)

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_unset(write(self), "lr_ratio", "weight_decay")


class Strategy(Description):
    """Strategy of a stage.

    Attributes:
        optimizer: Name in `catalogue.OPTIMIZERS`.
        hparams: The optimizer's settings besides lr and weight decay, complete.
        lr: Absolute peak learning rate; for matrix optimizers that of the matrix group.
        lr_shape: How the learning rate moves within the stage.
        warmup: Linear warm-up at the stage's start, as a share of the whole budget. For a later stage this is
            the re-warm-up.
        weight_decay: Decoupled weight decay, multiplied by the learning rate at each step.
        clip_norm: Largest global gradient norm; None: no clipping.
        regularizers: The regularizers in force together, each kind at most once.
        trainable: Which parameters learn: `all`, or blocks joined by `+` from `embeddings`, `attention`, `mlp`,
            `norms`, `layers:A-B`, `lora`.
        hand_over: What happens to the optimizer's state when the stage begins; None for the first stage.
        layer_decay: Learning rate of a layer over that of the layer above it; None: the same in all.
        groups: Settings of the parameters of some kinds of blocks, by kind; None: those of the stage in all.
        adapter: Adapters that are put beside the weights when the first stage begins, and stay; None: none, and in
            later stages always.
        shapes: How other settings than the learning rate move within the stage, by setting: `weight_decay`, one of
            the optimizer, or a regularizer; None: none does.
        batch_tokens: Tokens of one optimizer step; None: as many as the study says.
        context: Tokens of one row of a batch, at most what the model sees at once; None: just as many.
        custom: Settings of the user's own trainer, by name; those that hold for a whole study among them.
        mixture: The part of the text that each source gets, by name, in any unit; None: what it has of the text.
        order: A score by which the stage's text is read; None: it is shuffled.
        cycle: Blocks that learn in turn; None: all that is trainable learns at every step.
    """

    optimizer: str
    hparams: dict[str, StrictFloat] = {}
    lr: StrictFloat = Field(gt=0)
    lr_shape: LrShape = LrShape(kind="constant")
    warmup: StrictFloat = Field(default=0.0, ge=0, lt=1)
    weight_decay: StrictFloat = Field(default=0.1, ge=0)
    clip_norm: StrictFloat | None = Field(default=1.0, gt=0)
    regularizers: tuple[Regularizer, ...] = ()
    trainable: str = "all"
    hand_over: HandOver | None = None
    layer_decay: StrictFloat | None = Field(default=None, gt=0, le=1)
    groups: dict[str, BlockGroup] | None = None
    adapter: Adapter | None = None
    shapes: dict[str, LrShape] | None = None
    batch_tokens: StrictInt | None = Field(default=None, gt=0, le=10**9)
    context: StrictInt | None = Field(default=None, gt=0, le=10**9)
    custom: dict[str, CustomValue] = {}
    mixture: Mixture | None = None
    order: ReadingOrder | None = None
    cycle: BlockCycle | None = None

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_unset(without_empty(write(self), "custom"), *LEFT_OUT_UNSET)

    @property
    def lr_ratios(self) -> dict[str, float]:
        """Learning rates of blocks over the stage's, by kind, where they are another one."""
        groups = self.groups or {}
        return {kind: group.lr_ratio for kind, group in groups.items() if group.lr_ratio is not None}

    @property
    def weight_decays(self) -> dict[str, float]:
        """Weight decays of blocks, by kind, where they have their own."""
        groups = self.groups or {}
        return {kind: group.weight_decay for kind, group in groups.items() if group.weight_decay is not None}

    def strength(self, kind: str) -> float | None:
        """The number of a regularizer, or None if it is not in force."""
        return next((r.strength for r in self.regularizers if r.kind == kind), None)


def make_groups(lr_ratios: Mapping[str, float], weight_decays: Mapping[str, float]) -> dict[str, BlockGroup] | None:
    """Groups of blocks from their learning rates and weight decays by kind; None without any."""
    return {
        kind: BlockGroup(lr_ratio=lr_ratios.get(kind), weight_decay=weight_decays.get(kind))
        for kind in sorted({*lr_ratios, *weight_decays})
    } or None


class Stage(Strategy):
    """A part of training with one strategy and one share of the budget.

    Attributes:
        name: For people; two stages that differ in nothing else train alike.
        share: Share of the whole budget, in (0, 1], a multiple of the grid.
    """

    name: str
    share: StrictFloat = Field(gt=0, le=1)


class Schedule(Description):
    """The complete recipe.

    Attributes:
        stages: The stages in order; their shares sum to 1.
    """

    stages: tuple[Stage, ...] = Field(min_length=1)

    @property
    def optimizers(self) -> tuple[str, ...]:
        """The optimizer of each stage, in order."""
        return tuple(stage.optimizer for stage in self.stages)
