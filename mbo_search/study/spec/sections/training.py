"""What a schedule may cost, how a step of it is computed, and how it is measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SerializerFunctionWrapHandler, StrictBool, StrictFloat, StrictInt, model_serializer

from mbo_search.study.spec import json_forms
from mbo_search.study.spec.base import Description, without_empty, without_unset
from mbo_search.study.spec.generate import GenerateSpec
from mbo_search.study.spec.sections.values import Auto, BatchTokens, MaybeWords, ScheduleTokens


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
        compile: Whether the passes of plain steps are compiled; `auto`: where the study is long enough and
            measuring says that it pays.
        gradient_checkpointing: Whether the backward pass computes the activations of layers again instead of
            keeping them: less memory, a third more computation, the same training.
    """

    batch_tokens: BatchTokens
    micro_batch: StrictInt | Auto = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: StrictInt | Auto = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compile: Literal["auto", "on", "off"] = Field(default="off", exclude_if=lambda compiled: compiled == "off")
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
