"""The JSON Schema of a study file as people write it, short forms included, for editors and other programs.

The schema says what can be said without arithmetic: keys, types, ranges of single numbers, names. The rules between
settings are in `checks`; a file that the schema accepts may still break those.
"""

from __future__ import annotations

import json

from pydantic.json_schema import GenerateJsonSchema

from mbo_search.study.spec.study import StudySpec

Schema = dict[str, object]


def schema_text() -> str:
    """Write the schema as the text of `studies/study.schema.json`."""
    return json.dumps(study_schema(), indent=1, ensure_ascii=True) + "\n"


def study_schema() -> Schema:
    """Make the schema, JSON Schema 2020-12."""
    schema = StudySpec.model_json_schema(mode="validation")
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": "mbo-search study"}
