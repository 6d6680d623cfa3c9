"""Where a recording and what was found now part."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

_MOST_CHARACTERS = 400
_LOSS_TOLERANCE = 0.02
"""Relative: rounding grows along these short and steep schedules, yet stays below; other mathematics does not."""

_NEVER_TRAINED = ("validate ", "plan ", "list ", "rank reports/read", "tree reports/read", "report reports/read")
"""Commands whose answers hold no number that was trained anew; the last ones read the directory as it is."""


def first_difference(recorded: Any, found: Any, path: str = "") -> str | None:
    """The first place where two JSON values differ, with both values; None if they are equal.

    >>> print(first_difference({"a": [1, 2]}, {"a": [1, 3]}))
    a.1
      recorded: 2
      found:    3
    """
    if isinstance(recorded, dict) and isinstance(found, dict):
        return _first_of_parts({**_missing(found), **recorded}, {**_missing(recorded), **found}, path)
    if isinstance(recorded, list) and isinstance(found, list):
        return _first_of_lists(recorded, found, path)
    if type(recorded) is type(found) and recorded == found:
        return None
    return f"{path or 'the whole'}\n  recorded: {_shown(recorded)}\n  found:    {_shown(found)}"


def _missing(names: dict[str, Any]) -> dict[str, Any]:
    return dict.fromkeys(names, "(nothing)")


def _first_of_parts(recorded: dict[str, Any], found: dict[str, Any], path: str) -> str | None:
    differences = (first_difference(recorded[key], found[key], _below(path, key)) for key in sorted(recorded))
    return next((difference for difference in differences if difference), None)


def _first_of_lists(recorded: list[Any], found: list[Any], path: str) -> str | None:
    pairs = enumerate(zip(recorded, found, strict=False))
    differences = (first_difference(before, now, _below(path, str(index))) for index, (before, now) in pairs)
    difference = next((difference for difference in differences if difference), None)
    if difference or len(recorded) == len(found):
        return difference
    shared = min(len(recorded), len(found))
    longer, whose = (recorded, "recorded") if len(recorded) > shared else (found, "found")
    return f"{path} has {len(recorded)} recorded parts and {len(found)} now; {whose} next: {_shown(longer[shared])}"


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


def difference_elsewhere(recorded: dict[str, Any], found: dict[str, Any]) -> str | None:
    """The first difference that another arithmetic does not explain.

    What knows no trained number must be equal. Trials are compared one after the other for as long as the same
    schedules are proposed: what they were to train exactly, their losses approximately. The first proposal that
    differs follows from other losses, and so does all behind it.
    """
    differences = (
        first_difference(_untrained(recorded), _untrained(found)),
        *_trial_differences(_trials(recorded), _trials(found)),
    )
    return next((difference for difference in differences if difference), None)


def _untrained(recording: dict[str, Any]) -> dict[str, Any]:
    answers = [answer for answer in recording["answers"] if answer["command"].startswith(_NEVER_TRAINED)]
    return {"answers": _without_numerics(answers)}


def _without_numerics(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_numerics(part) for key, part in value.items() if key != "numerics"}
    return [_without_numerics(part) for part in value] if isinstance(value, list) else value


def _trials(recording: dict[str, Any]) -> list[dict[str, Any]]:
    return [trial["record"] for trial in recording.get("directory", {}).get("trials", [])]


def _trial_differences(recorded: list[dict[str, Any]], found: list[dict[str, Any]]) -> Iterator[str | None]:
    for index, (before, now) in enumerate(zip(recorded, found, strict=False)):
        difference = first_difference(_proposal(before), _proposal(now), f"directory.trials.{index}.record")
        if difference:
            yield difference if index == 0 else None
            return
        yield _loss_difference(_losses(before), _losses(now), index)


def _proposal(record: dict[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ("arm", "label", "params", "schedule", "seed", "state", "reason")}


def _losses(record: dict[str, Any]) -> list[float]:
    found = [record["val_loss"], *(boundary["loss"] for boundary in record["boundaries"])]
    return [float.fromhex(loss) for loss in found if loss is not None]


def _loss_difference(recorded: list[float], found: list[float], index: int) -> str | None:
    pairs = zip(recorded, found, strict=True)
    if all(math.isclose(before, now, rel_tol=_LOSS_TOLERANCE) for before, now in pairs):
        return None
    return f"losses of trial {index}\n  recorded: {recorded}\n  found:    {found}"
