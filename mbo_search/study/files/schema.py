"""JSON Schemas of study files as people write them, and of exported schedules, for editors and other programs.

A schema says what can be said without arithmetic: keys, types, ranges of single numbers, names. The rules between
settings are in `checks`; a file that its schema accepts may still break those.
"""

from __future__ import annotations

import json

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from mbo_search.study.files.schedule_file import ScheduleFile
from mbo_search.study.spec.json_forms import SHARED
from mbo_search.study.spec.study import StudySpec

Schema = dict[str, object]


def schema_text() -> str:
    """Write the schema as the text of `studies/study.schema.json`."""
    return as_text(study_schema())


def study_schema() -> Schema:
    """Make the schema of study files."""
    return schema_of(StudySpec, "mbo-search study")


def schedule_schema_text() -> str:
    """Write the schema as the text of `docs/schemas/schedule.schema.json`."""
    return as_text(schedule_schema())


def schedule_schema() -> Schema:
    """Make the schema of exported schedules, YAML or JSON."""
    return schema_of(ScheduleFile, "mbo-search schedule")


def schema_of(model: type[BaseModel], title: str) -> Schema:
    """Make the schema of what a model reads, JSON Schema 2020-12.

    Args:
        model: The model.
        title: What such a document is called.
    """
    shared: Schema = {}
    schema = _with_references(model.model_json_schema(mode="validation"), shared)
    assert isinstance(schema, dict)
    definitions = {**schema.get("$defs", {}), **shared}
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **schema,
        **({"$defs": definitions} if definitions else {}),
        "title": title,
    }


def as_text(schema: Schema) -> str:
    """Write a schema as it is published."""
    return json.dumps(schema, indent=1, ensure_ascii=True) + "\n"


def _with_references(schema: object, shared: Schema) -> object:
    """Replace what is used more than once by references to what is collected."""
    if isinstance(schema, list):
        return [_with_references(item, shared) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _with_references(value, shared) for key, value in schema.items()}
    title = made.get("title")
    if title not in SHARED:
        return made
    name = str(title).replace(" ", "_")
    shared[name] = {key: value for key, value in made.items() if key != "title"}
    return {"$ref": f"#/$defs/{name}"}
