"""Costs add up, and stand flat in what is written."""

from typing import ClassVar

import pytest
from pydantic import ValidationError

from mbo_search.study.spec.base import Description
from mbo_search.trial.cost import Cost
from mbo_search.trial.flat import Flat


class Result(Flat):
    groups: ClassVar = ("cost",)
    loss: float
    cost: Cost = Cost()
    worker: str = ""


class Task(Description):
    number: int


class Record(Flat):
    groups: ClassVar = ("task", "result")
    task: Task
    result: Result
    ended_at: float = 0.0


def test_costs_add_up_and_the_largest_memory_counts():
    first = Cost(executed_tokens=3, wasted_tokens=1, train_seconds=0.5, peak_memory_bytes=10)
    second = Cost(executed_tokens=4, train_seconds=0.25, peak_memory_bytes=8)
    expected = Cost(executed_tokens=7, wasted_tokens=1, train_seconds=0.75, peak_memory_bytes=10)
    assert first + second == expected
    assert (first + second).tokens == 8
    assert first.as_wasted() == first.model_copy(update={"executed_tokens": 0, "wasted_tokens": 4})


def test_groups_within_groups_are_written_flat_in_the_order_of_their_fields_and_read_back():
    result = Result(loss=3.0, cost=Cost(executed_tokens=5), worker="w")
    record = Record(task=Task(number=7), result=result)
    written = record.model_dump(mode="json")
    assert list(written) == ["number", "loss", *Cost.model_fields, "worker", "ended_at"]
    assert Record.model_validate(written) == record
    assert Record.model_validate_json(record.model_dump_json()) == record


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"executed_tokens": -1}, "executed_tokens"),
        ({"executed_tokens": 10**16}, "executed_tokens"),
        ({"tokens": 1}, "tokens"),
        ({"cost": Cost(), "executed_tokens": 1}, "executed_tokens"),
        ({"train_seconds": float("nan")}, "train_seconds"),
    ],
)
def test_a_wrong_unknown_or_repeated_field_is_an_error(fields, where):
    with pytest.raises(ValidationError, match=where):
        Result(loss=3.0, **fields)
