"""Study files: YAML to `Study` and back.

Reading reports all mistakes at once, each with its place in the file, and changes nothing on disk: text -> tree
with positions -> overrides -> long form -> types and rules. Writing gives a file that reads back equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mbo_search.errors import Problem, StudyError
from mbo_search.study.checks.rules import check_study
from mbo_search.study.files.files_named import file_problems, with_base
from mbo_search.study.files.key_paths import find, loc_of
from mbo_search.study.files.long_form import study_mapping
from mbo_search.study.files.origins import Origin, origins_in
from mbo_search.study.files.overrides import with_overrides
from mbo_search.study.files.read_text import read_text
from mbo_search.study.files.recovery import typed_study
from mbo_search.study.files.short_forms import Expanded, expand
from mbo_search.study.files.yaml_dump import dump_yaml
from mbo_search.study.files.yaml_tree import MapNode, read_tree
from mbo_search.study.space.defaults import with_defaults
from mbo_search.study.spec.study import Study


def load_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """Read a study file.

    Relative paths in it are taken from the file's folder, and must exist.

    Raises:
        StudyError: With every problem found.
    """
    return _parse(read_text(path), str(path), overrides, path.parent)


def parse_study(text: str, where: str, overrides: Sequence[str] = ()) -> Study:
    """Read a study from text. Paths in it stay as they are and need not exist.

    Raises:
        StudyError: With every problem found.
    """
    return _parse(text, where, overrides, None)


def dump_study(study: Study) -> str:
    """Write a study as YAML that reads back equal."""
    return dump_yaml(study_mapping(study))


def origins(text: str, overrides: Sequence[str] = ()) -> Mapping[str, Origin]:
    """Say where each setting of a study comes from."""
    expanded, _ = _long_form(text, "", overrides)
    return origins_in(expanded.root, parse_study(text, "", overrides))


def _parse(text: str, where: str, overrides: Sequence[str], base: Path | None) -> Study:
    expanded, problems = _long_form(text, where, overrides)
    typed = typed_study(expanded.root, expanded.dropped)
    problems += typed.problems
    study = typed.study
    if study is not None:
        rules = check_study(study, typed.replaced)
        files = file_problems(study, base, typed.replaced) if base is not None else ()
        problems += tuple(_placed(problem, expanded.root) for problem in (*rules, *files))
    if problems or study is None:
        raise StudyError(_in_order(problems))
    return with_defaults(study if base is None else with_base(study, base))


def _long_form(text: str, where: str, overrides: Sequence[str]) -> tuple[Expanded, tuple[Problem, ...]]:
    tree = read_tree(text, where)
    if tree.root is None or not isinstance(tree.root, MapNode):
        raise StudyError(tree.problems or [_not_a_study(text, where)])
    overridden, override_problems = with_overrides(tree.root, overrides)
    expanded = expand(overridden)
    dropped = expanded.dropped | tree.dropped
    return replace(expanded, dropped=dropped), (*tree.problems, *override_problems, *expanded.problems)


def _not_a_study(text: str, where: str) -> Problem:
    rule = "must be a mapping with the keys of a study, such as `study`, `data` and `stages`"
    return Problem(key="", rule=rule if text.strip() else "is empty", where=where)


def _placed(problem: Problem, root: MapNode) -> Problem:
    """Give a problem of the long form the place and the key path under which the author knows it."""
    loc = loc_of(problem.key)
    node, reached = find(root, loc)
    missing = loc[len(reached) :]
    key = ".".join((node.path, *(str(piece) for piece in missing))).strip(".")
    return replace(problem, key=key, where=node.where)


def _in_order(problems: Sequence[Problem]) -> list[Problem]:
    """In the order of the file; what has no line comes first."""

    def position(problem: Problem) -> tuple[int, ...]:
        pieces = problem.where.rsplit(":", 2)[1:]
        return tuple(int(piece) for piece in pieces if piece.isdigit())

    return sorted(dict.fromkeys(problems), key=position)
