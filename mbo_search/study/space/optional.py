"""Stages that may be left out: those whose share may be 0."""

from __future__ import annotations

from mbo_search.study.spec.sections.values import Numeric, numbers_of
from mbo_search.study.spec.study import StudySpec


def may_be_left_out(share: Numeric | str | None) -> bool:
    """Tell whether a share may be 0.

    >>> may_be_left_out((0.0, 0.2)), may_be_left_out(0.2), may_be_left_out("rest")
    (True, False, False)
    """
    return share is not None and not isinstance(share, str) and min(numbers_of(share)) == 0


def may_be_first(study: StudySpec, index: int) -> bool:
    """Tell whether everything before a stage may be left out."""
    return all(may_be_left_out(stage.share) for stage in study.stages[:index])
