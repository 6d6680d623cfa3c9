"""Warnings about searches that are too short for a fair answer; they run all the same."""

from __future__ import annotations

from mbo_search.study.space.ladder import lower_spaces
from mbo_search.study.spec.study import StudySpec

TRIALS_PER_OPPONENT = 5
"""Trials of a search for each opponent, below which none are kept for the end, where each opponent tries the best
of the other side without its freedom."""


def effort_warnings(study: StudySpec) -> tuple[str, ...]:
    """Say what a study's opponents go without because it has so few trials."""
    num_opponents, trials = len(lower_spaces(study)), study.search.trials
    fewest = TRIALS_PER_OPPONENT * num_opponents
    if trials is None or trials >= fewest:
        return ()
    return (
        f"With search.trials {trials} no opponent ends with a try of the best of the other side without its "
        "freedom, so a gain may be owed to a setting that only one side came across; "
        f"from {fewest} trials on each of them does.",
    )
