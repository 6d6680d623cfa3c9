"""Origins of settings: the file, the command line, or a default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import BaseModel

from mbo_search.study.checks.key_paths import Loc, find
from mbo_search.study.files.overrides import OVERRIDE
from mbo_search.study.files.yaml_document import YamlDocument
from mbo_search.study.spec.dimensions.table import STAGE_DIMENSIONS
from mbo_search.study.spec.forms import PRESET_NUMBERS
from mbo_search.study.spec.sections.stages import AtMostSpec, StageDefaults
from mbo_search.study.spec.study import StudySpec

Origin = Literal["file", "--set", "default", "stage_defaults"]

_TOLD_WHERE_SET = frozenset(
    (
        "custom",
        "lr_with_batch",
        "scores",
        "source_names",
        *(dimension.name for dimension in STAGE_DIMENSIONS),
        *AtMostSpec.model_fields,
    )
)
"""Settings that are left out where nobody set them; no other setting of these names can be None."""


def origins_in(document: YamlDocument, study: StudySpec) -> Mapping[str, Origin]:
    """Say for each setting of a study whether it was written, set, or filled in.

    What only some studies have, such as settings of the user's own trainer, is left out where there is none.
    """
    return {".".join(map(str, loc)): _origin(document, loc) for loc in _settings(study)}


def _settings(study: StudySpec) -> Iterator[Loc]:
    for name, value in study:
        if name == "stages":
            for index, stage in enumerate(study.stages):
                inherited = set(_fields_told(study.stage_defaults))
                told = {*inherited, *_fields_told(stage)}
                yield from (("stages", index, field) for field in type(stage).model_fields if field in told)
        elif name == "custom":
            yield from ((name, setting) for setting in value)
        elif isinstance(value, BaseModel):
            yield from ((name, field) for field in _fields_told(value))
        elif name != "runner":
            yield (name,)


def _fields_told(section: BaseModel) -> Iterator[str]:
    return (field for field, value in section if field not in _TOLD_WHERE_SET or value is not None)


def _origin(document: YamlDocument, loc: Loc) -> Origin:
    written = _written_as(document.value, loc)
    if written in document.wheres:
        return "--set" if _is_set(document, written) else "file"
    is_strategy = loc[0] == "stages" and loc[-1] in StageDefaults.model_fields
    return "stage_defaults" if is_strategy and f"stage_defaults.{loc[-1]}" in document.wheres else "default"


def _written_as(data: object, loc: Loc) -> str:
    """The key under which a setting was written: a preset gives a model's numbers, a bare number a share."""
    section = find(data, loc[:1]).value
    if loc[0] == "model" and loc[-1] in PRESET_NUMBERS and isinstance(section, Mapping) and loc[-1] not in section:
        return "model.size"
    if loc == ("control", "share") and not isinstance(section, Mapping):
        return "control"
    return ".".join(map(str, loc))


def _is_set(document: YamlDocument, key: str) -> bool:
    """Tell whether any part of a value comes from the command line."""
    below = (where for path, where in document.wheres.items() if path == key or path.startswith(f"{key}."))
    return any(where.startswith(OVERRIDE) for where in below)
