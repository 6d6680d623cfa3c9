"""The types of the catalogue's entries: what can be said of an optimizer or a regularizer without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Hparam:
    """A setting with its default and the values it may take.

    Attributes:
        default: Used where the study says nothing.
        low: Smallest allowed value; for names, None.
        high: Largest allowed value; for names, None.
        choices: Allowed names, for settings that are no numbers.
        whole: Whether it must be a whole number.
        summary: What it does, in a few words.
    """

    default: float | str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    whole: bool = False
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerInfo:
    """What can be said of an optimizer without building it.

    Attributes:
        summary: One line.
        paper: Authors, year, identifier.
        library: The package and class that implement it.
        reference_lr: Peak learning rate that works untuned at width 256.
        lr_low: Lower end of a sensible search range at width 256.
        lr_high: Upper end.
        width_exponent: The reference scales with (256 / width) ** width_exponent.
        hparams: Its settings besides lr and weight decay.
        state_floats: Optimizer state per parameter, in floats (for sizes of nodes).
        second_moments: Whether it keeps second moments that need a warm-up when lost.
        family: What its state means, for the hand-over table.
        constant_lr_only: Whether it replaces lr decay, so only the constant shape is sensible (schedule-free).
        clocked_by_budget: Whether its update depends on the steps of the whole budget.
        decoupled_decay: Whether a stage's weight decay acts; where not, that setting is inactive.
    """

    summary: str
    paper: str
    library: str
    reference_lr: float
    lr_low: float
    lr_high: float
    width_exponent: float
    hparams: Mapping[str, Hparam]
    state_floats: float
    second_moments: bool
    family: Literal["adam", "sign", "sgd", "muon", "soap", "ademamix", "schedule_free"]
    constant_lr_only: bool = False
    clocked_by_budget: bool = False
    decoupled_decay: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LrShapeInfo:
    """What can be said of a learning-rate shape.

    Attributes:
        summary: One line.
        paper: Authors, year, identifier.
        hparams: Its settings.
        anneals: Whether it ends near its floor, so that it may end a schedule.
    """

    summary: str
    paper: str
    hparams: Mapping[str, Hparam]
    anneals: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RegularizerInfo:
    """What can be said of a regularizer; each has exactly one number, its strength.

    Attributes:
        summary: One line.
        paper: Authors, year, identifier.
        low: Smallest allowed strength.
        high: Largest allowed strength.
        search_low: Lower end of a sensible search range.
        search_high: Upper end.
        log: Whether a range of it is searched logarithmically.
        passes: Forward-backward passes of one step, charged to the budget.
        off_at_zero: Whether strength 0 is the same as not having it.
    """

    summary: str
    paper: str
    low: float
    high: float
    search_low: float
    search_high: float
    log: bool
    passes: int = 1
    off_at_zero: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusInfo:
    """A built-in corpus: text that a Python install or a small package brings.

    Attributes:
        summary: One line.
        num_bytes: Rough size of its text as UTF-8, duplicates dropped; it differs between versions of Python.
        needs: What has to be installed; empty for the standard library alone.
        license: Terms of the text.
    """

    summary: str
    num_bytes: int
    needs: str
    license: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """A preset of the decoder's sizes, written `model: {size: tiny}`.

    Attributes:
        layers: Decoder blocks.
        width: Residual stream width.
        heads: Attention heads.
        context: Tokens that the model sees at once.
    """

    layers: int
    width: int
    heads: int
    context: int
