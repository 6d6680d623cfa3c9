"""The stages of a study with the choices of each, and the limits of every schedule."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StrictInt,
    model_serializer,
)
from pydantic.config import JsonDict

from mbo_search.study.spec import forms, json_forms
from mbo_search.study.spec.base import Description, explain, without_unset
from mbo_search.study.spec.dimensions.cycle_choices import CycleChoices
from mbo_search.study.spec.foreign.custom import CustomSpace
from mbo_search.study.spec.schedule import HandOver
from mbo_search.study.spec.sections.choices import (
    Lr,
    LrShapes,
    Mixtures,
    Optimizers,
    Orders,
    RegularizerSets,
    WeightDecay,
)
from mbo_search.study.spec.sections.values import Auto, BatchChoices, ContextChoices, Numeric, Words


def _without_null(schema: JsonDict, model: type[BaseModel]) -> None:
    """A file leaves out what it does not set."""
    explain(schema, model)
    properties = schema["properties"]
    assert isinstance(properties, dict)
    for own in properties.values():
        if isinstance(own, dict) and isinstance(forms_allowed := own.get("anyOf"), list):
            own["anyOf"] = [one for one in forms_allowed if one != {"type": "null"}]


_LEFT_OUT_UNSET = (
    "layer_decay",
    "groups",
    "mixture",
    "order",
    "shapes",
    "batch_tokens",
    "context",
    "lr_with_batch",
    "custom",
    "cycle",
)
"""Choices of a stage that are written only where they are set."""


class BlockSettings(Description):
    """Settings of the parameters of one kind of block that are not those of the stage.

    Attributes:
        lr_ratio: Learning rate over the stage's.
        weight_decay: Decoupled weight decay of the matrices; in place of the stage's.
    """

    model_config = ConfigDict(json_schema_extra=_without_null)

    lr_ratio: Numeric | None = None
    weight_decay: Numeric | None = None


class GroupSettings(Description):
    """Kinds of blocks with settings of their own.

    Attributes:
        attention: Weights of the attention.
        embeddings: Everything outside the layers but the norms.
        mlp: All other weights of the layers.
        norms: Norms, within the layers and the last one.
    """

    model_config = ConfigDict(json_schema_extra=_without_null)

    attention: BlockSettings | None = None
    embeddings: BlockSettings | None = None
    mlp: BlockSettings | None = None
    norms: BlockSettings | None = None


class StageDefaults(Description):
    """Strategy settings; as `stage_defaults` they hold for every stage that does not set its own.

    A key that is None was not set. Lists are choices.

    Attributes:
        optimizer: The optimizers to choose from.
        lr: Peak learning rate, absolute or relative to the optimizer's reference.
        lr_shape: The shapes to choose from.
        warmup: Warm-up of the first stage that is trained, as a share of the whole budget.
        weight_decay: Decoupled weight decay, or its timescale as a share of the budget.
        clip_norm: Largest gradient norm; `off` for none.
        regularizers: The sets of regularizers to choose from; one set is chosen as a whole.
        trainable: The parameter blocks to choose from.
        hand_over: What may happen to the optimizer state when the stage begins.
        rewarm: Warm-up of a later stage as a share of the budget; `auto` warms up where second moments are lost.
        layer_decay: Learning rate of a layer over that of the layer above it; 1 is the same in all.
        groups: Kinds of blocks with a learning rate or a weight decay of their own.
        shapes: Shapes of other settings than the learning rate to choose from, by setting.
        batch_tokens: Tokens of one optimizer step in place of `train.batch_tokens`, multiples of `model.context`.
        context: Tokens of one row in place of `model.context`, which they divide.
        lr_with_batch: `sqrt` multiplies the learning rate by the square root of a batch's tokens over
            `train.batch_tokens`; `off` leaves it.
        custom: Settings of your own trainer, by name; those of `stage_defaults` hold where a stage sets no other.
        mixture: Shares of the sources in the text that the stage reads, by name: numbers in any unit, or `rest` for
            one of them; `natural` for those that the text has. A list is a choice.
        order: A score by which the stage reads its text, `{by: length, ascending: true}`, or `shuffled`. A list is
            a choice.
        cycle: Blocks that learn in turn, thaw or freeze within the stage; `off` for none.
    """

    model_config = ConfigDict(json_schema_extra=_without_null)

    optimizer: Optimizers | None = None
    lr: Lr | None = None
    lr_shape: LrShapes | None = None
    warmup: Numeric | None = None
    weight_decay: WeightDecay | None = None
    clip_norm: Numeric | Literal["off"] | None = None
    regularizers: RegularizerSets | None = None
    trainable: Words | None = None
    hand_over: (
        Annotated[
            tuple[HandOver, ...],
            Field(min_length=1),
            BeforeValidator(
                forms.one_or_more,
                json_schema_input_type=HandOver | Annotated[tuple[HandOver, ...], Field(min_length=1)],
            ),
        ]
        | None
    ) = None
    rewarm: Numeric | Auto | None = None
    layer_decay: Numeric | None = None
    groups: GroupSettings | None = None
    shapes: Annotated[dict[str, LrShapes], json_forms.JsonForm(json_forms.shapes)] | None = None
    batch_tokens: BatchChoices | None = None
    context: ContextChoices | None = None
    lr_with_batch: Literal["sqrt", "off"] | None = None
    custom: CustomSpace | None = None
    mixture: Mixtures | None = None
    order: Orders | None = None
    cycle: CycleChoices | None = None

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_unset(write(self), *_LEFT_OUT_UNSET)


class StageSpace(StageDefaults):
    """One stage of a study: a name, a share, and the choices of its strategy.

    Attributes:
        name: Unique within the study.
        share: Share of the budget: a number, choices, an interval on the grid, or `rest`. With a share of 0 the
            stage is left out, and its other settings are not chosen.
    """

    name: str
    share: Numeric | Literal["rest"]


class AtMostSpec(Description):
    """Limits of every schedule of a study; None: no limit. Searchers propose nothing that breaks them.

    Attributes:
        stages: Stages that are trained; those whose `share` may be 0 can be left out.
        optimizer_changes: Boundaries at which the optimizer changes.
        resets: Stages that begin with an empty optimizer state, because they reset it or can take nothing over.
    """

    model_config = ConfigDict(json_schema_extra=_without_null)

    stages: StrictInt | None = Field(default=None, ge=1, le=1000)
    optimizer_changes: StrictInt | None = Field(default=None, ge=0, le=1000)
    resets: StrictInt | None = Field(default=None, ge=0, le=1000)

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_unset(write(self), "stages", "optimizer_changes", "resets")
