"""Study files: YAML to `Study` and back.

Reading reports all mistakes at once, each with its place in the file, and changes nothing on disk: text -> values
with positions -> overrides -> types and rules. Writing gives a file that reads back equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mbo_search.errors import Problem, StudyError
from mbo_search.study.checks.examine import examine, with_problems
from mbo_search.study.checks.key_paths import child_path
from mbo_search.study.files.files_named import file_problems, with_base
from mbo_search.study.files.long_form import study_mapping
from mbo_search.study.files.origins import Origin, origins_in
from mbo_search.study.files.overrides import with_overrides
from mbo_search.study.files.read_text import read_text
from mbo_search.study.files.yaml_document import YamlDocument, read_document
from mbo_search.study.files.yaml_dump import dump_yaml
from mbo_search.study.spec.sections.stages import StageDefaults
from mbo_search.study.spec.study import StudySpec
from mbo_search.study.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedStudy:
    """A study, and where each of its settings comes from.

    Attributes:
        study: The study.
        origins: Where each setting comes from, by dotted key path.
    """

    study: Study
    origins: Mapping[str, Origin]


def load_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """Read a study file.

    Relative paths in it are taken from the file's folder, and must exist.

    Raises:
        StudyError: With every problem found.
    """
    return explain_study(path, overrides).study


def explain_study(path: Path, overrides: Sequence[str] = ()) -> ExplainedStudy:
    """Read a study file, and say where each setting comes from.

    Raises:
        StudyError: With every problem found.
    """
    document = _document(read_text(path), str(path), overrides)
    study = with_base(_checked(document, path.parent), path.parent)
    return ExplainedStudy(study=study, origins=origins_in(document, study))


def parse_study(text: str, where: str, overrides: Sequence[str] = ()) -> Study:
    """Read a study from text. Paths in it stay as they are and need not exist.

    Raises:
        StudyError: With every problem found.
    """
    return _checked(_document(text, where, overrides), None)


def dump_study(study: StudySpec) -> str:
    """Write a study as YAML that reads back equal."""
    return dump_yaml(study_mapping(study))


def _document(text: str, where: str, overrides: Sequence[str]) -> YamlDocument:
    document = read_document(text, where)
    if not isinstance(document.value, dict):
        raise StudyError(document.problems or [_not_a_study(text, where)])
    return with_overrides(document, overrides)


def _checked(document: YamlDocument, base: Path | None) -> Study:
    examined = examine(document.value)
    if base is not None and examined.study is not None:
        examined = with_problems(examined, file_problems(examined.study, base, examined.replaced))
    problems = [
        *document.problems,
        *(document.placed(problem) for problem in _without_value(document)),
        *(document.placed(problem) for problem in examined.problems if not _is_told(document, problem.key)),
    ]
    if problems:
        raise StudyError(_in_order(problems))
    return Study.model_validate(examined)


def _not_a_study(text: str, where: str) -> Problem:
    rule = "must be a mapping with the keys of a study, such as `study`, `data` and `stages`"
    return Problem(key="", rule=rule if text.strip() else "is empty", where=where)


def _is_told(document: YamlDocument, key: str) -> bool:
    """Tell whether a key has been reported already, as one that cannot be read or has nothing behind it."""
    return document.is_dropped(key) or key in document.blank


_NAME_WITHOUT_SETTINGS = re.compile(r"(stage_defaults|stages\.\d+)\.(optimizer|lr_shape|shapes\.[^.]+)\..+")
"""A name with nothing behind it, such as `adamw:` in a mapping of optimizers, stands for its defaults."""


_STRATEGY = re.compile(rf"(stage_defaults|stages\.\d+)\.({'|'.join(StageDefaults.model_fields)})")


def _without_value(document: YamlDocument) -> Iterator[Problem]:
    """Keys with nothing behind them, and `null` in a strategy, whose default is had by leaving the key out."""
    for path in document.blank:
        if not _NAME_WITHOUT_SETTINGS.fullmatch(path) and not _STRATEGY.fullmatch(path):
            hint = "write one, or `null` where none is meant; an empty shell variable leaves nothing behind `=`"
            yield Problem(key=path, rule="has no value", hint=hint)
    assert isinstance(document.value, dict)
    stages = document.value.get("stages")
    sections = {f"stages.{index}": stage for index, stage in enumerate(stages if isinstance(stages, list) else ())}
    for at, section in {"stage_defaults": document.value.get("stage_defaults"), **sections}.items():
        for key, value in section.items() if isinstance(section, dict) else ():
            if value is None and key in StageDefaults.model_fields:
                yield Problem(key=child_path(at, key), rule="has no value; leave the key out for the default")


def _in_order(problems: Sequence[Problem]) -> list[Problem]:
    """In the order of the file; what has no line comes first."""

    def position(problem: Problem) -> tuple[int, ...]:
        pieces = problem.where.rsplit(":", 2)[1:]
        return tuple(int(piece) for piece in pieces if piece.isdigit())

    return sorted(dict.fromkeys(problems), key=position)
