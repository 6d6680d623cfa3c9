"""What each part of the best staged schedule is worth, as a value in the ranking."""

from __future__ import annotations

from mbo_search.results.statistics.paired import PairedTest
from mbo_search.study.space.ablations import Part
from mbo_search.study.spec.base import Description


class AttributionRow(Description):
    """One part of the schedule, put back to the baseline's.

    Attributes:
        stage: Position of the stage, from 0.
        stage_name: Its name.
        part: What was put back.
        change: From what to what.
        trial: The first of its runs.
        sentence: What the part is worth, for people.
        test: Paired over the confirm seeds: loss with the part put back minus the loss of the schedule as it is.
            Null if a run failed on one of them.
        adjusted_p: After Holm's adjustment within the family of all parts.
        num_failed: Seeds on which it did not complete.
        notes: What else had to change for the schedule to be valid.
    """

    stage: int
    stage_name: str
    part: Part
    change: str
    trial: int
    sentence: str
    test: PairedTest | None = None
    adjusted_p: float | None = None
    num_failed: int = 0
    notes: tuple[str, ...] = ()


class Attribution(Description):
    """What the parts of the best staged schedule are worth, each put back to the baseline's on its own.

    Attributes:
        trial: The staged champion.
        baseline_trial: What its parts were put back to.
        rows: One a part that was run, by stage.
        unchanged: Parts that the baseline shares, such as `stage 2 hand_over`.
        impossible: Parts that cannot be put back, with the reason.
    """

    trial: int
    baseline_trial: int
    rows: tuple[AttributionRow, ...]
    unchanged: tuple[str, ...] = ()
    impossible: tuple[str, ...] = ()
