"""`--set key.path=value`: replacing single settings of a study before it is checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mbo_search.errors import Problem
from mbo_search.study.catalogue.baseline_names import is_schedule_path, split_baseline
from mbo_search.study.checks.key_paths import child_path
from mbo_search.study.files.inherited import with_inherited
from mbo_search.study.files.paths import is_corpus
from mbo_search.study.files.yaml_document import Json, YamlDocument, read_document

_NAMES_FILES = re.compile(r"data\.(source|validation)(\.\d+)?|data\.tokenizer\.path|baselines(\.\d+)?")

OVERRIDE = "--set"
"""Place of every setting from the command line."""


def with_overrides(document: YamlDocument, overrides: Sequence[str]) -> YamlDocument:
    """Replace settings in a document; what cannot be replaced is among its problems."""
    for override in overrides:
        document = _with_override(document, override)
    return document


def from_here(key: str, value: Json) -> Json:
    """Let relative paths that are typed on a command line start in the current folder, as they do in every shell.

    Those in the file start in its folder, which with `--example` or a run directory is nobody's.
    """
    if key == "data" and isinstance(value, dict):
        return {name: from_here(f"data.{name}", item) for name, item in value.items()}
    if key == "data.tokenizer" and isinstance(value, dict):
        return {name: from_here(f"data.tokenizer.{name}", item) for name, item in value.items()}
    if isinstance(value, list):
        return [from_here(f"{key}.{index}", item) for index, item in enumerate(value)]
    if not isinstance(value, str) or not _NAMES_FILES.fullmatch(key) or not _is_path(key, value):
        return value
    return str(Path.cwd() / value)


def _is_path(key: str, value: str) -> bool:
    """Whether what may be a relative path is one, and no name of a corpus or of a baseline, mistyped or not."""
    if not value or value.startswith("~") or "\0" in value:
        return False
    if key.startswith("baselines"):
        return split_baseline(value) is None and is_schedule_path(value)
    is_word = not set(value) & set("/.*?[")
    return not is_corpus(value) and not (is_word and not _exists(value))


def _exists(value: str) -> bool:
    try:
        return Path(value).exists()
    except OSError:  # too long for a name, which the rules say in their words
        return False


class _NoPlaceError(Exception):
    """A key path leads nowhere."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def _with_override(document: YamlDocument, override: str) -> YamlDocument:
    key, separator, text = override.partition("=")
    if not separator or not all(key.split(".")):
        problem = Problem(key="", value=override, rule="must have the form key.path=value", where=OVERRIDE)
        return replace(document, problems=(*document.problems, problem))
    where = f"{OVERRIDE} {key}"
    setting = read_document(text, where, key)
    problems = [replace(problem, where=where) for problem in setting.problems]
    value, filled = document.value, ""
    if not problems:
        try:
            value, filled = with_inherited(value, key.split("."))
            value = _placed(value, key.split("."), from_here(key, setting.value), "")
        except _NoPlaceError as error:
            problems.append(replace(error.problem, where=where))
    return replace(
        document,
        value=value,
        wheres=_without_below(document.wheres, key) | dict.fromkeys((filled or key, key, *setting.wheres), where),
        key_wheres=_without_below(document.key_wheres, key) | dict.fromkeys((key, *setting.key_wheres), where),
        problems=(*document.problems, *problems),
        dropped=document.dropped | setting.dropped,
        blank=(document.blank - {key}) | setting.blank | (frozenset() if key in setting.wheres else {key}),
    )


def _without_below(wheres: dict[str, str], key: str) -> dict[str, str]:
    return {path: where for path, where in wheres.items() if path != key and not path.startswith(f"{key}.")}


def _placed(holder: Json, keys: Sequence[str], new: Json, at: str) -> Json:
    """A copy with a value at a key path; mappings on the way to it are made."""
    if not keys:
        return new
    key, rest = keys[0], keys[1:]
    path = child_path(at, key)
    if isinstance(holder, dict):
        return {**holder, key: _placed(holder.get(key) or {}, rest, new, path)}
    if not isinstance(holder, list):
        raise _NoPlaceError(
            Problem(key=path, rule=f"cannot be set, because {at} is a single value; set {at} whole")
        )
    if not key.isdigit() or int(key) >= len(holder):
        rule = f"is not a position in the list {at}; positions are 0 to {len(holder) - 1}"
        raise _NoPlaceError(Problem(key=path, rule=rule))
    index = int(key)
    return [*holder[:index], _placed(holder[index], rest, new, path), *holder[index + 1 :]]
