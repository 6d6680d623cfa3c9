"""What the name of a parameter says: `stage/0/lr_relative` is the learning rate of the first stage."""

from __future__ import annotations

from mbo_search.study.space.custom_axes import OF_STUDY


def stage_of(parameter: str) -> int:
    """Position of the stage that a parameter belongs to, from 0; -1 if it belongs to none.

    Settings of the user's own that hold for whole schedules are chosen with the first stage and belong to none.

    >>> stage_of("stage/2/adamw/beta2"), stage_of("other"), stage_of("stage/0/study/width")
    (2, -1, -1)
    """
    parts = parameter.split("/")
    if parts[2:3] == [OF_STUDY]:
        return -1
    return int(parts[1]) if len(parts) > 2 and parts[0] == "stage" and parts[1].isdecimal() else -1
