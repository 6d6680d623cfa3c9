"""Definitions of what a study may name: optimizers, learning-rate shapes, regularizers, corpora, model sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Literal

from mbo_search.extensions import LR_SHAPE_GROUP, OPTIMIZER_GROUP, REGULARIZER_GROUP, SEARCHER_GROUP

WithinStage = Literal["fixed", "factor", "distance"]
"""How a shape changes a setting from step to step: not at all, as a factor of it, or of its distance from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hparam:
    """A setting with its default and the values it may take.

    Attributes:
        default: Used where the study says nothing.
        low: Smallest allowed value; for names, None.
        high: Largest allowed value; for names, None.
        choices: Allowed names, for settings that are not numbers.
        whole: Whether it must be a whole number.
        within_stage: How it may change from step to step; what is not `fixed` must be settable by the
            implementation's `set_hparams`.
        summary: What it does, in a few words.
    """

    default: float | str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    whole: bool = False
    within_stage: WithinStage = "fixed"
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerDefinition:
    """An optimizer: everything that can be said of it without torch, and where its code is.

    Attributes:
        name: Name in study files.
        version: Version of its mathematics, which is part of the node keys of optimizers that are not built in.
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
        family: What its state means. `adam` promises the slots `exp_avg`, `exp_avg_sq` and `step`; a family without
            a row in the hand-over table carries state between stages of the same optimizer only.
        implementation: An `mbo_search.optim.implementation.Implementation`, or its reference `module:attribute`,
            which is imported when the optimizer is built.
        auxiliary: Optimizer of embeddings, head and one-dimensional parameters, where the implementation is for
            hidden matrices only; its lr is that of the stage times the setting `aux_lr_ratio`.
        constant_lr_only: Whether it replaces lr decay, so only the constant shape is sensible (schedule-free).
        clocked_by_budget: Whether its update depends on the steps of the whole budget.
        decoupled_decay: Whether a stage's weight decay acts; where not, that setting is inactive.
        passes: Forward-backward passes of one step, charged to the budget.
        pretrained_warning: What speaks against it where training starts from pretrained weights; empty if nothing.
    """

    group: ClassVar[str] = OPTIMIZER_GROUP

    name: str
    version: str = ""
    summary: str
    paper: str = ""
    library: str = ""
    reference_lr: float
    lr_low: float
    lr_high: float
    width_exponent: float = 1.0
    hparams: Mapping[str, Hparam] = field(default_factory=lambda: MappingProxyType({}))
    state_floats: float
    second_moments: bool
    family: str = ""
    implementation: object
    auxiliary: str | None = None
    constant_lr_only: bool = False
    clocked_by_budget: bool = False
    decoupled_decay: bool = True
    passes: int = 1
    pretrained_warning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageClock:
    """Where a stage lies in steps; all that a shape may know besides the step.

    Attributes:
        stage_steps: Steps of the stage, at least 1.
        warmup_steps: Steps of linear warm-up at its start, at most `stage_steps`.
        budget_steps: Steps of the whole schedule, if all of them were as large as those of the stage.
    """

    stage_steps: int
    warmup_steps: int
    budget_steps: int


ShapeFunction = Callable[[int, Mapping[str, float | str], StageClock], float]
"""(Steps after the warm-up, settings, clock) -> factor of the peak, in (0, 1]. A pure function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LrShapeDefinition:
    """A learning-rate shape. Node keys hold the learning rate of every step, so they need no version of it.

    Attributes:
        name: Name in study files.
        version: Version of its mathematics, for `mbo-search list`.
        summary: One line.
        paper: Authors, year, identifier.
        hparams: Its settings.
        anneals: Whether it ends near its floor, or imitates a decay that does, so that it may end a schedule.
        factor: The function.
        imitated: The factors of a decay that a mean of the weights imitates: 1 up to where the mean begins, then
            falling. The mean takes the place of the weights where the stage ends. None: there is no mean.
    """

    group: ClassVar[str] = LR_SHAPE_GROUP

    name: str
    version: str = ""
    summary: str
    paper: str = ""
    hparams: Mapping[str, Hparam] = field(default_factory=lambda: MappingProxyType({}))
    anneals: bool
    factor: ShapeFunction
    imitated: ShapeFunction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegularizerDefinition:
    """A regularizer; each has exactly one number, its strength.

    Attributes:
        name: Name in study files.
        version: Version of its mathematics, which is part of the node keys of regularizers that are not built in.
        summary: One line.
        paper: Authors, year, identifier.
        low: Smallest allowed strength.
        high: Largest allowed strength.
        search_low: Lower end of a sensible search range.
        search_high: Upper end.
        log: Whether a range of it is searched logarithmically.
        implementation: A class derived from `mbo_search.optim.regularizers.RegularizerHooks`, or its reference
            `module:attribute`, which is imported when a stage begins.
        passes: Forward-backward passes of one step, charged to the budget.
        off_at_zero: Whether strength 0 is the same as not having it.
        moves_weights: Whether it changes what is trained; if not, it is only in force where it is measured, at the
            end of a schedule.
        state_floats: What it keeps per parameter, in floats (for the memory of a trial).
        copies: Copies of each sequence that one forward pass takes (for the memory of a trial).
        needs: Another regularizer without which it would do nothing; empty if there is none.
        acts_at_stage_end: Whether it changes the weights where a stage ends; that a segment is a stage's last is
            then part of its node key.
        within_stage: How its strength may change from step to step.
    """

    group: ClassVar[str] = REGULARIZER_GROUP

    name: str
    version: str = ""
    summary: str
    paper: str = ""
    low: float
    high: float
    search_low: float
    search_high: float
    log: bool
    implementation: object
    passes: int = 1
    off_at_zero: bool = True
    moves_weights: bool = True
    state_floats: float = 0.0
    copies: int = 1
    needs: str = ""
    acts_at_stage_end: bool = False
    within_stage: WithinStage = "fixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearcherDefinition:
    """A searcher: who proposes schedules.

    Attributes:
        name: Name in study files.
        version: Version, for `mbo-search list`.
        summary: One line.
        paper: Authors, year, identifier.
        make: A function, or its reference `module:attribute`, from a `StagedSpace` to a function (seed, share of
            the effort that is spent) -> Optuna sampler, which is called once for each proposal. A proposal is the
            same after a restart if the sampler follows from the seed and the trials alone.
        uses_initial_points: Whether it learns from any schedule, so that a search may begin with a designed set.
        several_objectives: Whether it can minimize several objectives, or another one than the loss.
    """

    group: ClassVar[str] = SEARCHER_GROUP

    name: str
    version: str = ""
    summary: str
    paper: str = ""
    make: object
    uses_initial_points: bool = False
    several_objectives: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusInfo:
    """A built-in corpus: text that a Python install or a small package brings.

    Attributes:
        summary: One line.
        num_bytes: Rough size of its text as UTF-8, duplicates dropped; it differs between versions of Python.
        needs: What has to be installed; empty for the standard library alone.
        license: Terms of the text.
        columns: Columns that a task may name; none for running text.
        task: The task of a corpus that is pairs and no running text; None for the others.
    """

    summary: str
    num_bytes: int
    needs: str
    license: str
    columns: tuple[str, ...] = ()
    task: Mapping[str, str] | None = None


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
