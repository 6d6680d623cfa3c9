"""What a foreign trainer is asked for: the next steps of one schedule, with every number resolved.

The request holds what the key of the node at its end holds, and nothing else. What a trainer does not know it
cannot depend on: two schedules that train alike up to a point send equal requests up to there, so the state that
one of them left serves the other. That is why a request does not say how a stage is called, how long it goes on
after the request, or whether it is the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, SerializerFunctionWrapHandler, StrictFloat, model_serializer

from mbo_search.errors import Problem, StudyError
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.spec.adapters import Adapter
from mbo_search.study.spec.base import Description, without_empty, without_unset
from mbo_search.study.spec.foreign.custom import CustomValue
from mbo_search.study.spec.lr_shapes import averages_weights
from mbo_search.study.spec.schedule import BlockGroup, Regularizer
from mbo_search.study.spec.segments import EffectiveHandOver, Segment


class SpanStrategy(Description):
    """How some consecutive steps are trained.

    Attributes:
        optimizer: Name in the catalogue of optimizers.
        hparams: The optimizer's settings besides learning rate and weight decay, complete.
        weight_decay: Decoupled weight decay, multiplied by the learning rate at each step; None where the optimizer
            has none.
        clip_norm: Largest global gradient norm; None: no clipping.
        regularizers: The regularizers in force together.
        trainable: Which parameters learn: `all`, or blocks joined by `+`.
        layer_decay: Learning rate of a layer over that of the layer above it; None: the same in all.
        groups: Settings of the parameters of some kinds of blocks, by kind; None: none.
        adapter: Adapters that are put beside the weights before the first step; None: none.
        custom: Settings of the user's own, by name.
    """

    optimizer: str
    hparams: dict[str, StrictFloat] = {}
    weight_decay: StrictFloat | None
    clip_norm: StrictFloat | None
    regularizers: tuple[Regularizer, ...] = ()
    trainable: str = "all"
    layer_decay: StrictFloat | None = None
    groups: dict[str, BlockGroup] | None = None
    adapter: Adapter | None = None
    custom: dict[str, CustomValue] = {}

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_unset(without_empty(write(self), "custom"), "layer_decay", "groups", "adapter")

    def strength(self, kind: str) -> float | None:
        """The number of a regularizer, or None if it is not in force."""
        return next((r.strength for r in self.regularizers if r.kind == kind), None)


class StagePart(Description):
    """The part of a request that is trained with one strategy.

    Attributes:
        first_step: Optimizer steps of the schedule done before it.
        last_step: Optimizer steps of the schedule done after it.
        hand_over: What happens to the optimizer before its first step: `start` builds the first optimizer,
            `continue` keeps the same one, `carry` takes what the new optimizer can use of the old one's
            state, `reset` begins with an empty state.
        strategy: How it is trained.
        lrs: Learning rate of each of its steps, warm-up and decay included.
    """

    first_step: int = Field(ge=0)
    last_step: int = Field(gt=0)
    hand_over: EffectiveHandOver
    strategy: SpanStrategy
    lrs: tuple[StrictFloat, ...]

    def lr(self, step: int) -> float:
        """Learning rate of a step.

        Args:
            step: Optimizer steps of the schedule done before it, in [first_step, last_step).
        """
        return self.lrs[step - self.first_step]


class SpanRequest(Description):
    """The next steps of a schedule: the document behind `MBO_STAGE`, and what a training function is given.

    Attributes:
        schema_version: Version of this format.
        key: Name of the state at the end; equal keys mean equal training.
        seed: Seed of initialization, data order and noise.
        batch_tokens: Tokens of one optimizer step.
        total_steps: Optimizer steps of a whole schedule.
        parts: What is trained, in order. One part where states are kept; all stages of a schedule where they are
            not.
    """

    schema_version: Literal["mbo-search/span/1"] = "mbo-search/span/1"
    key: str
    seed: int
    batch_tokens: int = Field(gt=0)
    total_steps: int = Field(gt=0)
    parts: tuple[StagePart, ...] = Field(min_length=1)

    @property
    def first_step(self) -> int:
        """Optimizer steps of the schedule done before it."""
        return self.parts[0].first_step

    @property
    def last_step(self) -> int:
        """Optimizer steps of the schedule done after it."""
        return self.parts[-1].last_step

    @property
    def num_steps(self) -> int:
        """Optimizer steps that are asked for."""
        return self.last_step - self.first_step

    @property
    def first_token(self) -> int:
        """Charged tokens of the schedule done before it: where in the text it begins, if a pass is long enough."""
        return self.first_step * self.batch_tokens

    @property
    def tokens(self) -> int:
        """Charged tokens that are asked for."""
        return self.num_steps * self.batch_tokens

    @property
    def evaluated_steps(self) -> tuple[int, ...]:
        """Steps after which a validation loss is needed: the end of each part."""
        return tuple(part.last_step for part in self.parts)

    def part_of(self, step: int) -> StagePart:
        """The part that a step belongs to.

        Args:
            step: Optimizer steps of the schedule done before it, in [first_step, last_step).
        """
        return next(part for part in self.parts if step < part.last_step)

    def lr(self, step: int) -> float:
        """Learning rate of a step, given the steps done before it."""
        return self.part_of(step).lr(step)


def span_request(segments: Sequence[Segment], *, key: str, seed: int, total_steps: int) -> SpanRequest:
    """Ask for consecutive segments of a schedule.

    Args:
        segments: At least one; those of one stage become one part.
        key: Key of the node at their end.
        seed: Seed of the schedule.
        total_steps: Optimizer steps of the whole schedule.

    Raises:
        StudyError: If a stage ends with a mean of its weights, which no foreign trainer keeps.
    """
    kinds = dict.fromkeys(segment.stage.lr_shape.kind for segment in segments)
    rule = "ends with a mean of weights, which only the built-in trainer keeps"
    problems = [Problem(key="lr_shape", value=kind, rule=rule) for kind in kinds if averages_weights(kind)]
    if problems:
        raise StudyError(problems)
    by_stage: dict[int, list[Segment]] = {}
    for segment in segments:
        by_stage.setdefault(segment.stage_index, []).append(segment)
    return SpanRequest(
        key=key,
        seed=seed,
        batch_tokens=segments[0].batch_tokens,
        total_steps=total_steps,
        parts=tuple(_part(of_stage) for of_stage in by_stage.values()),
    )


def _part(segments: Sequence[Segment]) -> StagePart:
    first = segments[0]
    stage = first.stage
    decays = OPTIMIZERS[stage.optimizer].decoupled_decay
    return StagePart(
        first_step=first.first_step,
        last_step=segments[-1].last_step,
        hand_over=first.hand_over,
        strategy=SpanStrategy(
            optimizer=stage.optimizer,
            hparams=stage.hparams,
            weight_decay=stage.weight_decay if decays else None,
            clip_norm=stage.clip_norm,
            regularizers=stage.regularizers,
            trainable=stage.trainable,
            layer_decay=stage.layer_decay,
            groups=stage.groups,
            adapter=stage.adapter,
            custom=stage.custom,
        ),
        lrs=tuple(
            segment.lr(step) for segment in segments for step in range(segment.first_step, segment.last_step)
        ),
    )
