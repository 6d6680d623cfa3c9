"""A study as a whole, a frozen value. No search, no training, no files: only the question.

Its sections are in `sections`. Types and ranges of single numbers are checked here, the rules between settings by
`Study`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    StrictFloat,
    StrictInt,
    ValidationError,
    model_validator,
)

from mbo_search.study.spec import forms, json_forms
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.foreign.custom import CustomSpace
from mbo_search.study.spec.foreign.runner import ForeignModel, RunnerSpec
from mbo_search.study.spec.sections.data import DataSpec, ForeignText
from mbo_search.study.spec.sections.model import AnyModel
from mbo_search.study.spec.sections.running import ResourcesSpec
from mbo_search.study.spec.sections.searching import ConfirmSpec, ControlSpec, OpponentShare, SearchSpec
from mbo_search.study.spec.sections.stages import AtMostSpec, StageDefaults, StageSpace
from mbo_search.study.spec.sections.training import BudgetSpec, EvaluationSpec, TrainSpec
from mbo_search.study.spec.sections.values import MaybeWords


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
