"""What a stage may choose: optimizers, learning rates, shapes, regularizers, mixtures and orders of its text."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from mbo_search.study.spec import forms, json_forms
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.dimensions.order import ReadingOrder
from mbo_search.study.spec.sections.values import HparamSpace, Interval, Number, Numbers, Numeric


class RelativeLr(Description):
    """Learning rate as a factor of the optimizer's reference learning rate.

    Attributes:
        relative: The factor, an interval of factors, or choices.
    """

    relative: Numeric


class Timescale(Description):
    """Weight decay as the share of the budget over which weights forget, so that it need not follow the rate.

    Attributes:
        timescale: The share, an interval of shares, or choices; searched on a logarithmic scale.
    """

    timescale: Numeric


class OptimizerChoice(Description):
    """One optimizer that a stage may use, and which of its settings are searched.

    Attributes:
        name: Name in `catalogue.OPTIMIZERS`.
        hparams: Settings that differ from the catalogue's defaults.
    """

    name: str
    hparams: HparamSpace = {}


class LrShapeChoice(Description):
    """One shape that a stage may use.

    Attributes:
        kind: Name in `catalogue.LR_SHAPES`.
        hparams: Settings that differ from the catalogue's defaults.
    """

    kind: str
    hparams: HparamSpace = {}


class RegularizerChoice(Description):
    """One regularizer of a set.

    Attributes:
        kind: Name in `catalogue.REGULARIZERS`.
        strength: Its number, an interval, or choices.
    """

    kind: str
    strength: Numeric


Optimizers = Annotated[
    tuple[Annotated[OptimizerChoice, BeforeValidator(forms.named("name"))], ...],
    Field(min_length=1),
    BeforeValidator(forms.names),
    json_forms.JsonForm(json_forms.optimizers),
]
"""`adamw`, `[adamw, {muon: {momentum: 0.9}}]` or `{adamw: {}, muon: {momentum: 0.9}}`."""

LrShapes = Annotated[
    tuple[Annotated[LrShapeChoice, BeforeValidator(forms.named("kind"))], ...],
    Field(min_length=1),
    BeforeValidator(forms.names),
    json_forms.JsonForm(json_forms.lr_shapes),
]
"""The same forms as those of optimizers."""

_RegularizerSet = Annotated[
    tuple[Annotated[RegularizerChoice, BeforeValidator(forms.regularizer)], ...],
    BeforeValidator(forms.regularizer_set),
]

RegularizerSets = Annotated[
    tuple[_RegularizerSet, ...],
    BeforeValidator(forms.regularizer_sets),
    json_forms.JsonForm(json_forms.regularizers),
]
"""`{dropout: 0.1}` for one set, `[[], [{dropout: 0.1}]]` for a choice between sets."""

Lr = Annotated[
    Number | Interval | Numbers | Annotated[RelativeLr, Tag("RelativeLr")],
    Discriminator(forms.lr, custom_error_type=forms.KIND, custom_error_message=forms.LR),
]
"""An absolute learning rate, or a relative one."""

WeightDecay = Annotated[
    Number | Interval | Numbers | Annotated[Timescale, Tag("Timescale")],
    Discriminator(forms.weight_decay, custom_error_type=forms.KIND, custom_error_message=forms.WEIGHT_DECAY),
]
"""A decoupled weight decay, or its timescale."""

Mixtures = Annotated[
    tuple[
        Annotated[
            Annotated[Literal["natural"], Tag("natural")]
            | Annotated[
                dict[
                    str,
                    Annotated[
                        Number | Annotated[Literal["rest"], Tag("rest")] | Interval | Numbers,
                        Discriminator(
                            forms.weight, custom_error_type=forms.KIND, custom_error_message=forms.WEIGHT
                        ),
                    ],
                ],
                Field(min_length=1),
                Tag("weights"),
            ],
            Discriminator(forms.mixture),
        ],
        ...,
    ],
    Field(min_length=1),
    BeforeValidator(forms.one_or_more_settings),
    json_forms.JsonForm(json_forms.mixtures),
]
"""Shares of sources by name, or `natural`: those that the text has; a list is a choice."""

Orders = Annotated[
    tuple[
        Annotated[
            Annotated[Literal["shuffled"], Tag("shuffled")] | Annotated[ReadingOrder, Tag("ReadingOrder")],
            Discriminator(forms.order),
        ],
        ...,
    ],
    Field(min_length=1),
    BeforeValidator(
        forms.one_or_more_settings,
        json_schema_input_type=Literal["shuffled"]
        | ReadingOrder
        | Annotated[tuple[Literal["shuffled"] | ReadingOrder, ...], Field(min_length=1)],
    ),
]
"""A score by which text is read, or `shuffled`; a list is a choice."""
