"""Schedule files: what `best.yaml` holds, enough to train the schedule again without its study.

A person may also write one by hand with nothing but `stages`, to serve as a baseline.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from mbo_search.errors import Problem, StudyError
from mbo_search.study.catalogue.entries import Hparam
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.checks.choices import unknown_name
from mbo_search.study.files.key_paths import find, loc_of
from mbo_search.study.files.read_text import read_text
from mbo_search.study.files.short_forms import plain
from mbo_search.study.files.type_errors import type_problems
from mbo_search.study.files.yaml_dump import dump_yaml
from mbo_search.study.files.yaml_tree import MapNode, Node, read_tree
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.schedule import Schedule, Stage
from mbo_search.study.spec.study import BudgetSpec, DataSpec, EvaluationSpec, ModelSpec, Study, TrainSpec


class StudySections(Description):
    """The sections of a study that training depends on.

    Attributes:
        study: Name of the study.
        seed: Seed of every search trial.
        data: Where the text comes from.
        model: What is trained.
        budget: What one full schedule costs.
        train: How a step is computed.
        evaluation: How a trial is measured.
    """

    study: str
    seed: int
    data: DataSpec
    model: ModelSpec
    budget: BudgetSpec
    train: TrainSpec
    evaluation: EvaluationSpec


class Provenance(Description):
    """Where a schedule comes from and what to expect of it.

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
    """

    trial: int
    arm: str
    seed: int
    val_loss: float
    val_perplexity: float | None
    confirmed: bool
    search_loss: float | None = None
    data_fingerprint: str
    judged_fingerprint: str | None = None
    root_key: str
    versions: dict[str, str]
    numerics: dict[str, str | int | float | bool | None]
    created: str


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


def sections_of(study: Study) -> StudySections:
    """The sections of a study that training depends on."""
    return StudySections(
        study=study.study,
        seed=study.seed,
        data=study.data,
        model=study.model,
        budget=study.budget,
        train=study.train,
        evaluation=study.evaluation,
    )


def load_schedule_file(path: Path) -> ScheduleFile:
    """Read a schedule file, YAML or JSON.

    Raises:
        StudyError: If it cannot be read or breaks the format; with every problem found.
    """
    return parse_schedule_file(read_text(path), str(path))


def parse_schedule_file(text: str, where: str) -> ScheduleFile:
    """Read the text of a schedule file, YAML or JSON.

    Raises:
        StudyError: If the text breaks the format; with every problem found.
    """
    root = _root(text, where)
    file = _typed(root, ScheduleFile)
    _raise_if(_schedule_problems(root, file.schedule, "schedule."))
    return file


def load_schedule(path: Path) -> Schedule:
    """Read only the schedule of a file: a schedule file, or one written by hand with nothing but `stages`.

    Raises:
        StudyError: If it cannot be read or breaks the format; with every problem found.
    """
    root = _root(read_text(path), str(path))
    if "stages" not in root.entries:
        return parse_schedule_file(read_text(path), str(path)).schedule
    schedule = _typed(root, Schedule)
    _raise_if(_schedule_problems(root, schedule, ""))
    return schedule


def dump_schedule_file(file: ScheduleFile) -> str:
    """Write a schedule file as YAML that reads back equal."""
    value = file.model_dump(mode="json")
    for stage in value["schedule"]["stages"]:
        for key in [key for key in stage if key not in ("name", "share")]:
            stage[key] = stage.pop(key)  # name and share first, for people
    return dump_yaml(value)


_M = TypeVar("_M", bound=BaseModel)


def _root(text: str, where: str) -> MapNode:
    tree = read_tree(text, where)
    _raise_if(tree.problems)
    if not isinstance(tree.root, MapNode):
        raise StudyError([Problem(key="", rule="must be a mapping with the keys of a schedule file", where=where)])
    return tree.root


def _typed(root: MapNode, model: type[_M]) -> _M:
    try:
        return model.model_validate_json(json.dumps(plain(root)), strict=True)
    except ValidationError as error:
        found = type_problems(root, error, model).values()
        raise StudyError([problem for problem in found if problem is not None]) from None


def _raise_if(problems: tuple[Problem, ...]) -> None:
    if problems:
        raise StudyError(problems)


def _schedule_problems(root: Node, schedule: Schedule, prefix: str) -> tuple[Problem, ...]:
    found: list[Problem] = []
    for index, stage in enumerate(schedule.stages):
        for problem in _stage_problems(f"{prefix}stages.{index}", stage):
            node, _ = find(root, loc_of(problem.key))
            found.append(
                Problem(
                    key=problem.key, value=problem.value, rule=problem.rule, hint=problem.hint, where=node.where
                )
            )
    return tuple(found)


def _stage_problems(at: str, stage: Stage) -> Iterator[Problem]:
    if stage.optimizer not in OPTIMIZERS:
        yield unknown_name(f"{at}.optimizer", stage.optimizer, "optimizer", OPTIMIZERS)
    else:
        yield from _setting_problems(f"{at}.hparams", stage.hparams, OPTIMIZERS[stage.optimizer].hparams)
    if stage.lr_shape.kind not in LR_SHAPES:
        yield unknown_name(f"{at}.lr_shape.kind", stage.lr_shape.kind, "learning-rate shape", LR_SHAPES)
    else:
        known = LR_SHAPES[stage.lr_shape.kind].hparams
        yield from _setting_problems(f"{at}.lr_shape.hparams", stage.lr_shape.hparams, known)
    for index, regularizer in enumerate(stage.regularizers):
        if regularizer.kind not in REGULARIZERS:
            yield unknown_name(f"{at}.regularizers.{index}", regularizer.kind, "regularizer", REGULARIZERS)


def _setting_problems(
    at: str, settings: Mapping[str, float | str], known: Mapping[str, Hparam]
) -> Iterator[Problem]:
    if set(settings) != set(known):
        rule = f"must have exactly the settings {', '.join(sorted(known)) or '(none)'}"
        yield Problem(key=at, value=", ".join(sorted(settings)) or "nothing", rule=rule)
