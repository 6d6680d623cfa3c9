"""Schedule files: what `best.yaml` holds, enough to train the schedule again without its study.

A person may also write one by hand with nothing but `stages`, to serve as a baseline.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import (
    BaseModel,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationError,
    model_serializer,
    model_validator,
)

from mbo_search.errors import Problem, StudyError
from mbo_search.study.catalogue.entries import Hparam
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.checks.choices import unknown_name
from mbo_search.study.checks.stages.shapes import stage_shape_problems
from mbo_search.study.checks.type_errors import type_problems
from mbo_search.study.files.paths import sections_with_base
from mbo_search.study.files.read_text import read_text
from mbo_search.study.files.yaml_document import YamlDocument, read_document
from mbo_search.study.files.yaml_dump import dump_yaml
from mbo_search.study.spec.base import Description, without_empty
from mbo_search.study.spec.foreign.runner import ForeignModel, RunnerSpec
from mbo_search.study.spec.schedule import BLOCK_KINDS, LrShape, Schedule, Stage
from mbo_search.study.spec.sections.data import DataSpec, ForeignText
from mbo_search.study.spec.sections.model import AnyModel
from mbo_search.study.spec.sections.training import BudgetSpec, EvaluationSpec, TrainSpec
from mbo_search.study.spec.study import StudySpec, with_foreign_sections


class StudySections(Description):
    """The sections of a study that training depends on.

    Attributes:
        study: Name of the study.
        seed: Seed of every search trial.
        runner: Who trains; None: the built-in trainer.
        data: Where the text comes from.
        model: What is trained.
        budget: What one full schedule costs.
        train: How a step is computed.
        evaluation: How a trial is measured.
    """

    study: str
    seed: StrictInt = Field(ge=0, lt=2**31)
    runner: RunnerSpec | None = Field(default=None, exclude_if=lambda runner: runner is None)
    data: SerializeAsAny[DataSpec] = Field(exclude_if=lambda data: isinstance(data, ForeignText))
    model: AnyModel = Field(exclude_if=lambda model: isinstance(model, ForeignModel))
    budget: BudgetSpec
    train: TrainSpec
    evaluation: EvaluationSpec

    @model_validator(mode="before")
    @classmethod
    def _with_foreign_sections(cls, data: object) -> object:
        return with_foreign_sections(data)


class Provenance(Description):
    """Origin of a schedule, and what to expect of it.

    Attributes:
        trial: Number of the trial in its run directory.
        arm: Which arm proposed it.
        seed: Seed with which the loss was measured.
        val_loss: Final validation loss, nats per token.
        val_perplexity: Its exponential; None where that is too large for a number.
        confirmed: Whether the loss is a mean over fresh seeds.
        search_loss: Loss of the one run with `seed`, which a replay must meet; None: `val_loss` is that.
        data_fingerprint: Fingerprint of the token files, tokenizer included.
        judged_fingerprint: Fingerprint of the documents that the evaluation windows left out, to judge on; None:
            the windows lay all over the validation split.
        root_key: Key of the untrained model.
        versions: Package versions.
        numerics: Whatever may change the last bit.
        created: When the file was written, ISO 8601.
        scores: Metrics of its task by name, measured as `val_loss` is; absent where there are none.
    """

    trial: StrictInt
    arm: str
    seed: StrictInt
    val_loss: StrictFloat
    val_perplexity: StrictFloat | None
    confirmed: StrictBool
    search_loss: StrictFloat | None = None
    data_fingerprint: str
    judged_fingerprint: str | None = None
    root_key: str
    versions: dict[str, str]
    numerics: dict[str, str | StrictInt | StrictFloat | StrictBool | None]
    created: str
    scores: dict[str, StrictFloat] = {}

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_empty(write(self), "scores")


class ScheduleFile(Description):
    """A schedule with all that is needed to train it again.

    Attributes:
        schema_version: Version of this format.
        study: The sections of its study.
        schedule: The complete recipe.
        provenance: Where it comes from.
    """

    schema_version: Literal["mbo-search/schedule/1"] = Field(default="mbo-search/schedule/1")
    study: StudySections
    schedule: Schedule
    provenance: Provenance


def sections_of(study: StudySpec) -> StudySections:
    """Take the sections of a study that training depends on."""
    return StudySections(
        study=study.study,
        seed=study.seed,
        runner=study.runner,
        data=study.data,
        model=study.model,
        budget=study.budget,
        train=study.train,
        evaluation=study.evaluation,
    )


def load_schedule_file(path: Path) -> ScheduleFile:
    """Read a schedule file, YAML or JSON. Relative paths in it are taken from its folder.

    Raises:
        StudyError: If it cannot be read or breaks the format; with every problem found.
    """
    file = parse_schedule_file(read_text(path), str(path))
    sections = sections_with_base(file.study, path.parent)
    return file.model_copy(update={"study": file.study.model_copy(update=sections)})


def parse_schedule_file(text: str, where: str) -> ScheduleFile:
    """Read the text of a schedule file, YAML or JSON.

    Raises:
        StudyError: If the text breaks the format; with every problem found.
    """
    return _schedule_file(_document(text, where))


def load_schedule(path: Path) -> Schedule:
    """Read only the schedule of a file: a schedule file, or one written by hand with nothing but `stages`.

    Raises:
        StudyError: If it cannot be read or breaks the format; with every problem found.
    """
    document = _document(read_text(path), str(path))
    if "stages" not in document.wheres:
        return _schedule_file(document).schedule
    schedule = _typed(document, Schedule)
    _raise_if(document, _schedule_problems(schedule, "stages"))
    return schedule


def dump_schedule_file(file: ScheduleFile) -> str:
    """Write a schedule file as YAML that reads back equal."""
    value = file.model_dump(mode="json")
    for stage in value["schedule"]["stages"]:
        for key in [key for key in stage if key not in ("name", "share")]:
            stage[key] = stage.pop(key)  # name and share first, for people
    return dump_yaml(value)


_M = TypeVar("_M", bound=BaseModel)


def _document(text: str, where: str) -> YamlDocument:
    document = read_document(text, where)
    if document.problems:
        raise StudyError(document.problems)
    if not isinstance(document.value, dict):
        raise StudyError([Problem(key="", rule="must be a mapping with the keys of a schedule file", where=where)])
    return document


def _schedule_file(document: YamlDocument) -> ScheduleFile:
    file = _typed(document, ScheduleFile)
    _raise_if(document, _schedule_problems(file.schedule, "schedule.stages"))
    return file


def _typed(document: YamlDocument, model: type[_M]) -> _M:
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        found = type_problems(document.value, error, model).values()
        _raise_if(document, (problem for problem in found if problem is not None))
        raise


def _raise_if(document: YamlDocument, problems: Iterable[Problem]) -> None:
    placed = [document.placed(problem) for problem in problems]
    if placed:
        raise StudyError(placed)


def _schedule_problems(schedule: Schedule, at: str) -> Iterator[Problem]:
    for index, stage in enumerate(schedule.stages):
        if index and stage.adapter is not None:
            yield Problem(key=f"{at}.{index}.adapter", rule="has a meaning in the first stage only")
        yield from _stage_problems(f"{at}.{index}", stage)


def _stage_problems(at: str, stage: Stage) -> Iterator[Problem]:
    if stage.optimizer not in OPTIMIZERS:
        yield unknown_name(f"{at}.optimizer", stage.optimizer, "an optimizer", OPTIMIZERS)
    else:
        yield from _setting_problems(f"{at}.hparams", stage.hparams, OPTIMIZERS[stage.optimizer].hparams)
    yield from _shape_problems(f"{at}.lr_shape", stage.lr_shape)
    for setting, shape in (stage.shapes or {}).items():
        yield from _shape_problems(f"{at}.shapes.{setting}", shape)
    yield from stage_shape_problems(f"{at}.shapes", stage)
    for kind in stage.groups or {}:
        if kind not in BLOCK_KINDS:
            yield unknown_name(f"{at}.groups.{kind}", kind, "a kind of block", BLOCK_KINDS)
    for index, regularizer in enumerate(stage.regularizers):
        if regularizer.kind not in REGULARIZERS:
            yield unknown_name(f"{at}.regularizers.{index}", regularizer.kind, "a regularizer", REGULARIZERS)


def _shape_problems(at: str, shape: LrShape) -> Iterator[Problem]:
    if shape.kind not in LR_SHAPES:
        yield unknown_name(f"{at}.kind", shape.kind, "a learning-rate shape", LR_SHAPES)
    else:
        yield from _setting_problems(f"{at}.hparams", shape.hparams, LR_SHAPES[shape.kind].hparams)


def _setting_problems(
    at: str, settings: Mapping[str, float | str], known: Mapping[str, Hparam]
) -> Iterator[Problem]:
    if set(settings) != set(known):
        rule = f"must have exactly the settings {', '.join(sorted(known)) or '(none)'}"
        yield Problem(key=at, value=", ".join(sorted(settings)) or "nothing", rule=rule)
