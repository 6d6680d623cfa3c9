"""Where each setting of a study comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel

from mbo_search.study.files.key_paths import Loc, find
from mbo_search.study.files.overrides import OVERRIDE
from mbo_search.study.files.yaml_tree import ListNode, MapNode, Node
from mbo_search.study.spec.study import StageDefaults, Study

Origin = Literal["file", "--set", "default", "stage_defaults"]


def origins_in(root: MapNode, study: Study) -> dict[str, Origin]:
    """Say for each setting of a study whether it was written, set, or filled in."""
    return {".".join(str(piece) for piece in loc): _origin(root, loc) for loc in _settings(study)}


def _settings(study: Study) -> Iterator[Loc]:
    for name, value in study:
        if name == "stages":
            for index, stage in enumerate(study.stages):
                yield from (("stages", index, field) for field in type(stage).model_fields)
        elif isinstance(value, BaseModel):
            yield from ((name, field) for field in type(value).model_fields)
        else:
            yield (name,)


def _origin(root: MapNode, loc: Loc) -> Origin:
    node, reached = find(root, loc)
    if reached == loc:
        return "--set" if _is_set(node) else "file"
    is_strategy = loc[0] == "stages" and loc[-1] in StageDefaults.model_fields
    if is_strategy and find(root, ("stage_defaults", loc[-1]))[1] == ("stage_defaults", loc[-1]):
        return "stage_defaults"
    return "default"


def _is_set(node: Node) -> bool:
    """Whether any part of a value comes from the command line."""
    if node.where.startswith(OVERRIDE):
        return True
    if isinstance(node, MapNode):
        return any(_is_set(child) for child in node.entries.values())
    return isinstance(node, ListNode) and any(_is_set(item) for item in node.items)
