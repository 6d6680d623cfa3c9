"""Sections of a study, each a frozen value. No search, no training, no files: only the question.

`StudySpec` is the whole; `StageSpace` is one stage with its choices. The short forms that people write (a bare
name, a bare number, `400k`) are accepted everywhere, in Python as in files; the values hold the long form. Types
and ranges of single numbers are checked here, the rules between settings by `Study`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeGuard

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    StrictBool,
    StrictFloat,
    StrictInt,
    Tag,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.config import JsonDict

from mbo_search.study.catalogue.searchers import SearcherName
from mbo_search.study.spec import forms, json_forms
from mbo_search.study.spec.base import Description, explain, without_empty, without_unset
from mbo_search.study.spec.dimensions.cycle_choices import CycleChoices
from mbo_search.study.spec.dimensions.order import ReadingOrder
from mbo_search.study.spec.foreign.custom import CustomSpace
from mbo_search.study.spec.foreign.runner import ForeignModel, RunnerSpec
from mbo_search.study.spec.fresh_models import ArchitectureModel, ArchitectureSpec, OwnModule, OwnModuleSpec
from mbo_search.study.spec.generate import GenerateSpec
from mbo_search.study.spec.network_facts import ModelDescription
from mbo_search.study.spec.pretrained import PretrainedModel, PretrainedSpec
from mbo_search.study.spec.schedule import HandOver
from mbo_search.study.spec.task import TaskSpec

Auto = Literal["auto"]


class Range(Description):
    """An interval to search. Logarithmic for learning rates and weight decay, else linear.

    Attributes:
        low: Lower end, included.
        high: Upper end, included, above `low`.
    """

    low: StrictFloat
    high: StrictFloat


_Number = Annotated[StrictFloat, Tag("number")]
_Interval = Annotated[Range, Tag("Range")]
_Numbers = Annotated[tuple[StrictFloat, ...], Field(min_length=1), Tag("choices")]

Numeric = Annotated[
    _Number | _Interval | _Numbers,
    Discriminator(forms.numeric, custom_error_type=forms.KIND, custom_error_message=forms.NUMERIC),
]
"""A number (fixed), an interval, or a list of choices."""

HparamValue = Annotated[
    _Number
    | Annotated[str, Tag("name")]
    | _Interval
    | Annotated[tuple[StrictFloat | str, ...], Field(min_length=1), Tag("choices")],
    Discriminator(forms.setting, custom_error_type=forms.KIND, custom_error_message=forms.SETTING),
]
"""One setting; a tuple is always a list of choices."""

Mixtures = Annotated[
    tuple[
        Annotated[
            Annotated[Literal["natural"], Tag("natural")]
            | Annotated[
                dict[
                    str,
                    Annotated[
                        _Number | Annotated[Literal["rest"], Tag("rest")] | _Interval | _Numbers,
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

HparamSpace = dict[str, HparamValue]
"""Settings by name."""

Words = Annotated[
    tuple[str, ...],
    Field(min_length=1),
    BeforeValidator(
        forms.one_or_more, json_schema_input_type=str | Annotated[tuple[str, ...], Field(min_length=1)]
    ),
]
"""A word or a list of words."""

NamedWords = Annotated[
    tuple[str, ...],
    Field(min_length=1),
    BeforeValidator(forms.one_or_more),
    json_forms.JsonForm(json_forms.sources),
]
"""Words that may have names, which a section keeps apart from them."""

MaybeWords = Annotated[
    tuple[str, ...], BeforeValidator(forms.one_or_more, json_schema_input_type=str | tuple[str, ...])
]
"""A word or a list of words, which may be empty."""

_Suffixed = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?[kMB]?$")]

_COUNT = BeforeValidator(forms.count, json_schema_input_type=Annotated[int, Field(gt=0)] | _Suffixed)

Count = Annotated[StrictInt, Field(gt=0, le=10**15), _COUNT]
"""A whole number above 0, which may be written `400k`, `2M` or `1B`."""

ScheduleTokens = Annotated[StrictInt, Field(gt=0, le=10**12), _COUNT]
"""Tokens of one schedule: a thousand times as many, as a schedule with more text may train on, can be recorded."""

BatchTokens = Annotated[StrictInt, Field(gt=0, le=10**9), _COUNT]
"""Tokens of one optimizer step."""


_Count = Annotated[int, Field(gt=0)] | _Suffixed

_COUNTS = BeforeValidator(
    forms.one_or_more_numbers,
    json_schema_input_type=_Count | Annotated[tuple[_Count, ...], Field(min_length=1)],
)

BatchChoices = Annotated[tuple[BatchTokens, ...], Field(min_length=1), _COUNTS]
"""Tokens of one optimizer step, or a list of choices."""

ContextChoices = Annotated[tuple[Count, ...], Field(min_length=1), _COUNTS]
"""Tokens of one row, or a list of choices."""


def is_numeric(value: HparamValue) -> TypeGuard[Numeric]:
    """Tell whether a setting is a number, an interval or a list of numbers, rather than a name or names."""
    if isinstance(value, tuple):
        return all(isinstance(choice, float | int) for choice in value)
    return isinstance(value, float | int | Range)


def numbers_of(numeric: Numeric) -> tuple[float, ...]:
    """List the numbers that a setting names: itself, both ends of an interval, or all choices.

    >>> numbers_of(0.5), numbers_of(Range(low=1, high=2)), numbers_of((3.0, 4.0))
    ((0.5,), (1.0, 2.0), (3.0, 4.0))
    """
    if isinstance(numeric, Range):
        return (numeric.low, numeric.high)
    return numeric if isinstance(numeric, tuple) else (numeric,)


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
    _Number | _Interval | _Numbers | Annotated[RelativeLr, Tag("RelativeLr")],
    Discriminator(forms.lr, custom_error_type=forms.KIND, custom_error_message=forms.LR),
]
"""An absolute learning rate, or a relative one."""

WeightDecay = Annotated[
    _Number | _Interval | _Numbers | Annotated[Timescale, Tag("Timescale")],
    Discriminator(forms.weight_decay, custom_error_type=forms.KIND, custom_error_message=forms.WEIGHT_DECAY),
]
"""A decoupled weight decay, or its timescale."""


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


class TokenizerSpec(Description):
    """Tokenizer of a study.

    Attributes:
        kind: `bytes`, `bpe` (trained on the study's training text), or `file`.
        vocab_size: For `bpe`.
        path: For `file`: a `tokenizer.json`, a SentencePiece model, or a folder that holds one.
    """

    kind: Literal["bytes", "bpe", "file"] = "bpe"
    vocab_size: (
        Annotated[
            StrictInt,
            Field(ge=300, le=500_000),
            BeforeValidator(forms.count, json_schema_input_type=Annotated[int, Field(ge=300)] | _Suffixed),
        ]
        | None
    ) = None
    path: str | None = None


class DataSpec(Description):
    """Text of a study: its sources, and how it is prepared.

    Attributes:
        source: Names of built-in corpora, files, folders, globs, or pre-tokenized `.bin` shards; in a file with
            names of your own where you like, such as `{docs: ./docs, chat: [a.txt, b.txt]}`.
        tokenizer: How text becomes tokens.
        dedup: Which duplicates are dropped before the split.
        text_field: Field or column of tables and .jsonl files that holds the text; `a.b` is a field in a field.
        min_characters: Shorter documents are dropped; a character of Chinese, Japanese, Korean, Thai and their like
            counts as four.
        validation: Separate validation files; None: split off by document hash.
        validation_share: Share of documents for validation when split by hash; the same again for test.
        task: What is asked of the model about rows with columns; None: it learns running text. Corpora of pairs
            bring a task of their own. With a task `min_characters` is 1 unless it is set.
        weights: The part of the training tokens that each entry of `source` gets, in any unit; None: what it has.
        scores: Columns of tables and .jsonl files that hold a number for each document, by which stages may read.
        source_names: Name of each entry of `source`, by which mixtures name it; several may have one. None: the
            text of the entries is not told apart. A study with mixtures calls entries without names as they are
            written.
    """

    source: NamedWords
    tokenizer: Annotated[
        TokenizerSpec,
        BeforeValidator(forms.tokenizer, json_schema_input_type=Literal["bytes"] | TokenizerSpec),
    ] = TokenizerSpec(kind="bpe", vocab_size=1024)
    dedup: Literal["none", "exact", "near"] = "exact"
    text_field: str = "text"
    min_characters: StrictInt = Field(default=32, ge=1, le=10**9)
    validation: MaybeWords | None = None
    validation_share: StrictFloat = Field(default=0.05, gt=0, lt=0.5)
    task: Annotated[TaskSpec, json_forms.TaskForms()] | None = None
    weights: dict[str, Annotated[StrictFloat, Field(gt=0, le=1e9)]] | None = None
    scores: Words | None = None
    source_names: Annotated[tuple[str, ...], Field(min_length=1)] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are read where there are any: that of the text and its scores, or those of the task."""
        return (self.text_field, *(self.scores or ())) if self.task is None else tuple(self.task.columns)

    @model_validator(mode="before")
    @classmethod
    def _with_task(cls, data: object) -> object:
        return forms.with_task(forms.with_source_names(data))

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_unset(write(self), "task", "weights", "scores", "source_names")


class ForeignText(DataSpec):
    """The text of a trainer that is not ours, which the study does not name."""

    source: tuple[str, ...] = ()


class ModelSpec(ModelDescription):
    """A Llama-style decoder. `{size: tiny}` is replaced by the preset's numbers when a study is read.

    Attributes:
        layers: Decoder blocks.
        width: Residual stream width, divisible by `heads`.
        heads: Attention heads.
        context: Tokens that the model sees at once.
        mlp_width: Inner width of the SwiGLU; None: 8/3 of the width, rounded up to a multiple of 32.
        tie_embeddings: Whether input and output embeddings are one matrix.
    """

    layers: StrictInt = Field(ge=1, le=512)
    width: StrictInt = Field(ge=8, le=65536)
    heads: StrictInt = Field(ge=1, le=1024)
    context: StrictInt = Field(ge=8, le=1_048_576)
    mlp_width: StrictInt | None = Field(default=None, ge=8, le=1_048_576)
    tie_embeddings: StrictBool = True

    @property
    def reference_width(self) -> int:
        """Its width."""
        return self.width

    @property
    def num_layers(self) -> int:
        """Its layers."""
        return self.layers


AnyModel = Annotated[
    Annotated[ModelSpec, json_forms.ModelForm(), Tag("ModelSpec")]
    | Annotated[PretrainedSpec, Tag("PretrainedSpec")]
    | Annotated[ArchitectureSpec, Tag("ArchitectureSpec")]
    | Annotated[OwnModuleSpec, Tag("OwnModuleSpec")]
    | Annotated[ForeignModel, Tag("ForeignModel")],
    Discriminator(forms.model_kind),
    BeforeValidator(forms.model),
]
"""A fresh decoder, a model that training starts from, another architecture, the user's own module, or that of a
trainer that is not ours."""

SizedModel = ModelSpec | PretrainedModel | ArchitectureModel | OwnModule
"""A model whose size is known without reading its weights."""


class BudgetSpec(Description):
    """Cost of one full schedule.

    Attributes:
        tokens: Charged tokens.
        grid: Share of the budget between two grid points, on which stage lengths lie.
    """

    tokens: ScheduleTokens
    grid: StrictFloat = Field(default=0.05, ge=0.001, le=1)


class TrainSpec(Description):
    """Arithmetic of a step. `auto` is resolved once for a study and written to its run directory.

    Attributes:
        batch_tokens: Tokens of one optimizer step, a multiple of the context.
        micro_batch: Sequences of one forward pass.
        precision: Arithmetic of the forward pass.
        threads: CPU threads of one trial.
        device: Where trials compute.
        gradient_checkpointing: Whether the backward pass computes the activations of layers again instead of
            keeping them: less memory, a third more computation, the same training.
    """

    batch_tokens: BatchTokens
    micro_batch: StrictInt | Auto = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: StrictInt | Auto = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    gradient_checkpointing: StrictBool = Field(default=False, exclude_if=lambda recomputes: not recomputes)


class EvaluationSpec(Description):
    """Measurement of a trial: on the same fixed windows of the validation text for every trial.

    Attributes:
        tokens: Validation tokens of one evaluation.
        points: Evaluations along a full schedule.
        metrics: What else is measured of a task at the end of a schedule, by names of the catalogue.
        generate: How answers are generated for metrics of texts; None: by the defaults.
    """

    tokens: ScheduleTokens = 50_000
    points: StrictInt = Field(default=10, ge=1, le=10_000)
    metrics: Annotated[MaybeWords, json_forms.JsonForm(json_forms.metrics)] = ()
    generate: GenerateSpec | None = None

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_empty(without_unset(write(self), "generate"), "metrics")


Objective = str
"""Objective of a search: `loss`, the final validation loss; `seconds`, the time that a schedule takes when nothing
is shared; or a metric of the study's task by its name."""


class SearchSpec(Description):
    """Search of the space, and when to stop: at whichever limit comes first.

    Attributes:
        searcher: Who proposes schedules; `auto`: `tree` from two stages on, else `tpe`; `tpe` for anything but the
            loss alone.
        objectives: What schedules are ranked by: `loss`, or a metric of `evaluation.metrics`. With `seconds` beside
            it the search looks for every schedule that no other one beats in both; the winner remains the best in
            the other one.
        pruner: Who stops schedules at a boundary.
        trials: Schedules to evaluate, all searches and baselines together; None: no limit.
        budget: Executed tokens, all searches together; None: no limit.
        hours: Wall-clock hours; None: no limit.
        stop: `auto` ends the search before its limits when the tree searcher expects less than the noise hides.
        storage: PostgreSQL database of the searchers' studies, without its password; None: SQLite in the run
            directory.
        repeats: Independent searches of the whole study, each with a seed of its own.
    """

    searcher: SearcherName = "auto"
    objectives: Annotated[
        tuple[Objective, ...], Field(min_length=1), json_forms.JsonForm(json_forms.objectives)
    ] = ("loss",)
    pruner: Literal["off", "boundary"] = "off"
    trials: StrictInt | None = Field(default=None, ge=1, le=1_000_000)
    budget: Count | None = None
    hours: StrictFloat | None = Field(default=None, gt=0, le=100_000)
    stop: Literal["limits", "auto"] = "limits"
    storage: str | None = None
    repeats: StrictInt = Field(default=1, ge=1, le=100)


class ConfirmSpec(Description):
    """Confirmation: the winners are trained again on fresh seeds.

    Attributes:
        top: Schedules of each arm.
        seeds: Fresh seeds of each.
        worthwhile_percent: Smallest gain in perplexity worth having, in percent: the verdict's "no" excludes it.
        equivalent_tokens: Whether the best single strategy is also trained with less and with more text, to say
            how much text the gain is worth.
        attribution: Whether each part of the best staged schedule is put back to the baseline's, one at a time, to
            say what it is worth.
    """

    top: StrictInt = Field(default=1, ge=1, le=1000)
    seeds: StrictInt = Field(default=6, ge=1, le=999)
    worthwhile_percent: StrictFloat = Field(default=0.5, gt=0, lt=100)
    equivalent_tokens: StrictBool = True
    attribution: StrictBool = False


OpponentShare = Annotated[StrictFloat, Field(ge=0, lt=1)]


class ControlSpec(Description):
    """Opponents of the schedules that a study asks about.

    Attributes:
        share: Share of the executed tokens that the opponents get for their searches; half is fair, 0 is none.
        question: The freedom that the study asks about; everything below it belongs to the opponents. `auto`: the
            highest that the study's own stages reach.
        keeps: Short form: `optimizer` asks about changing the optimizer, `strategy` is `auto`.
    """

    share: OpponentShare = 0.5
    question: Literal["auto", "tuned", "shape", "settings", "switch"] = "auto"
    keeps: Literal["strategy", "optimizer"] | None = None


class StoreSpec(Description):
    """The stage store.

    Attributes:
        limit: Most bytes that cached nodes may take; `auto`: half of the free space, and no limit at a URL.
        url: A shared folder or an S3-compatible URL instead of the run directory; without credentials.
    """

    limit: (
        Annotated[
            StrictInt,
            BeforeValidator(forms.count, json_schema_input_type=Annotated[int, Field(ge=0)] | _Suffixed),
        ]
        | Auto
    ) = "auto"
    url: str | None = None


class ResourcesSpec(Description):
    """Machines that trials run on.

    Attributes:
        workers: Trials that run at once.
        gpus_per_trial: Whole or fractional GPUs of one trial, or of each of its workers.
        workers_per_trial: Processes that train one trial together, each its part of every batch.
        hang_minutes: Running time without a step after which a trial hangs and is ended.
        store: The stage store.
    """

    workers: StrictInt | Auto = "auto"
    gpus_per_trial: StrictFloat | Auto = "auto"
    workers_per_trial: StrictInt = Field(default=1, ge=1, le=1024)
    hang_minutes: StrictFloat = Field(default=10.0, gt=0, le=1_000_000)
    store: StoreSpec = StoreSpec()


def with_foreign_sections(study: object) -> object:
    """Give a study that names its trainer the sections that it leaves to it, unless it has them."""
    if not isinstance(study, Mapping) or study.get("runner") is None:
        return study
    try:
        runner = RunnerSpec.model_validate(study["runner"])
    except ValidationError:  # told by the section's own check
        return {"data": ForeignText(), "model": ForeignModel(), **study}
    return {"data": ForeignText(), "model": ForeignModel(parameters=runner.parameters, width=runner.width), **study}


class StudySpec(Description):
    """A study as far as types go: data, model, budget, space, and how to search. `Study` obeys the rules as well.

    Attributes:
        study: Name, and default run directory under `reports/`.
        seed: Seed of initialisation, data order and noise of every search trial, and of the searcher.
        runner: Who trains; None: the built-in trainer. With it, `data` and `model` are left out.
        data: Where the text comes from.
        model: What is trained.
        budget: What one full schedule may cost.
        train: How a step is computed.
        evaluation: How a trial is measured.
        reference_lr: Reference learning rates that replace the catalogue's, by optimizer.
        custom: Settings of your own trainer, by name, with one value for all stages of a schedule.
        stage_defaults: Strategy settings of every stage that does not set its own.
        stages: The stages and their choices.
        at_most: Limits of every schedule.
        search: How the space is searched.
        control: What the study asks about, and the share of the effort that its opponents get.
        baselines: Untuned schedules to start with: `<optimizer>_<lr_shape>`, or schedule files.
        confirm: How winners are trained again.
        resources: What trials run on.
    """

    study: str
    seed: StrictInt = Field(default=0, ge=0, lt=2**31)
    runner: RunnerSpec | None = Field(default=None, exclude_if=lambda runner: runner is None)
    data: SerializeAsAny[DataSpec] = Field(exclude_if=lambda data: isinstance(data, ForeignText))
    model: AnyModel = Field(exclude_if=lambda model: isinstance(model, ForeignModel))
    budget: BudgetSpec
    train: TrainSpec
    evaluation: EvaluationSpec = EvaluationSpec()
    reference_lr: Annotated[dict[str, StrictFloat], json_forms.JsonForm(json_forms.reference_lrs)] = {}
    custom: CustomSpace = Field(default={}, exclude_if=lambda custom: not custom)
    stage_defaults: StageDefaults = StageDefaults()
    stages: tuple[StageSpace, ...] = Field(min_length=1)
    at_most: AtMostSpec = Field(default=AtMostSpec(), exclude_if=lambda limits: limits == AtMostSpec())
    search: SearchSpec = SearchSpec()
    control: Annotated[
        ControlSpec, BeforeValidator(forms.control, json_schema_input_type=OpponentShare | ControlSpec)
    ] = ControlSpec()
    baselines: MaybeWords = ("adamw_cosine",)
    confirm: ConfirmSpec | None = None
    resources: ResourcesSpec = ResourcesSpec()

    @model_validator(mode="before")
    @classmethod
    def _with_own_tokenizer(cls, data: object) -> object:
        return forms.with_own_tokenizer(with_foreign_sections(data))
