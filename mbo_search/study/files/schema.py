"""The JSON Schema of a study file as people write it, short forms included, for editors and other programs.

The schema says what can be said without arithmetic: keys, types, ranges of single numbers, names. The rules between
settings are in `checks`; a file that the schema accepts may still break those.
"""

from __future__ import annotations

import json

from pydantic.json_schema import GenerateJsonSchema

from mbo_search.study.spec.json_forms import SHARED
from mbo_search.study.spec.study import StudySpec

Schema = dict[str, object]


def schema_text() -> str:
    """Write the schema as the text of `studies/study.schema.json`."""
    return json.dumps(study_schema(), indent=1, ensure_ascii=True) + "\n"


def study_schema() -> Schema:
    """Make the schema, JSON Schema 2020-12."""
    shared: Schema = {}
    schema = _with_references(StudySpec.model_json_schema(mode="validation"), shared)
    assert isinstance(schema, dict)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **schema,
        "$defs": {**schema["$defs"], **shared},
        "title": "mbo-search study",
    }


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
