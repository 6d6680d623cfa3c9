"""Exhaustive stage tables: every schedule of a small space really trained, to replay searches on.

A table is a JSON file of the schema `mbo-search/stage-table/1`: a few strategies (`options`), a number of stages,
and for every sequence of strategies the loss after it. The space over a table names what a strategy means, never
its position in the table.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from mbo_search.errors import DataError, Problem
from mbo_search.study.space.parameters import Suggest
from mbo_search.study.spec.base import Description
from mbo_search.system.files import read_json

SCHEMA = "mbo-search/stage-table/1"

OptionPath = tuple[int, ...]
"""Positions in the table of the strategies of the first stages of a schedule."""

Fields = Mapping[str, str | float]
"""A strategy as flat fields."""


class StageTable(Description):
    """An exhaustive stage table.

    Attributes:
        name: Its name.
        stages: Stages of every schedule, of equal length.
        options: Strategies, the same for every stage.
        losses: Validation loss in nats after every sequence of strategies.
    """

    name: str
    stages: int
    options: tuple[dict[str, str | float], ...]
    losses: dict[OptionPath, float]

    @cached_property
    def final_losses(self) -> Sequence[float]:
        """Losses of all whole schedules, lowest first."""
        return sorted(loss for path, loss in self.losses.items() if len(path) == self.stages)

    @property
    def best_loss(self) -> float:
        """Lowest loss of a whole schedule."""
        return self.final_losses[0]

    @property
    def median_loss(self) -> float:
        """Median loss of the whole schedules."""
        return statistics.median(self.final_losses)


def read_stage_table(file: Path, field: str = "loss") -> StageTable:
    """Read a table.

    Raises:
        DataError: If it is not a complete table.
    """
    content = _content(file)
    if field not in content["fields"]:
        raise _broken(file, "fields", f"must name {field!r}")
    position = content["fields"].index(field)
    losses = {tuple(map(int, key.split(","))): row[position] for key, row in content["loss"].items()}
    table = StageTable(
        name=str(content["name"]),
        stages=content["stages"],
        options=tuple(_flat(option) for option in content["options"]),
        losses=losses,
    )
    wanted = sum(len(table.options) ** length for length in range(1, table.stages + 1))
    if len(losses) != wanted:
        raise _broken(file, "loss", f"must hold all {wanted} sequences of strategies, not {len(losses)}")
    return table


def _content(file: Path) -> dict[str, Any]:
    try:
        content = read_json(file)
    except (OSError, ValueError) as error:
        raise _broken(file, "", f"must be a readable JSON file ({error})") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise _broken(file, "schema", f"must be {SCHEMA!r}")
    missing = [key for key in ("name", "stages", "options", "fields", "loss") if key not in content]
    if missing:
        raise _broken(file, missing[0], "is missing")
    return content


def _broken(file: Path, key: str, rule: str) -> DataError:
    return DataError([Problem(key=key, rule=rule, where=str(file))])


def _flat(option: Mapping[str, Any], prefix: str = "") -> dict[str, str | float]:
    """Nested fields get joined names; an absent regularizer has no field."""
    found: dict[str, str | float] = {}
    for name, value in option.items():
        if isinstance(value, Mapping):
            found.update(_flat(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value
    return found


class TableSpace:
    """The space over a table, as a function that asks for every parameter.

    A stage asks for `stage/<i>/optimizer` and then for the other fields in which the strategies left differ.
    Learning rates are asked for relative to the optimizer's middle one: their absolute sizes cannot be compared.
    """

    def __init__(self, table: StageTable, offered: Sequence[Collection[int]] | None = None) -> None:
        """Make the space of a table.

        Args:
            table: The table.
            offered: Positions in the table of the strategies that each stage offers; None: all.
        """
        self._options = [_meaning(option, table.options) for option in table.options]
        self._fields = list(dict.fromkeys(name for option in self._options for name in option))
        everything = range(len(self._options))
        self._offered = [sorted(everything if offered is None else offered[at]) for at in range(table.stages)]

    @property
    def size(self) -> int:
        """Number of schedules."""
        return math.prod(map(len, self._offered))

    def meaning(self, option: int) -> Mapping[str, str | float]:
        """The fields by which a strategy is asked for."""
        return self._options[option]

    def __call__(self, suggest: Suggest) -> OptionPath:
        """Choose a schedule."""
        return tuple(self._option(suggest, stage) for stage in range(len(self._offered)))

    def _option(self, suggest: Suggest, stage: int) -> int:
        left = self._offered[stage]
        chosen: list[str] = []
        for name in self._fields:
            values = list(dict.fromkeys(_value(self._options[index], name) for index in left))
            if len(values) > 1:
                label = "/".join([f"stage/{stage}/{name}", *chosen])
                value = suggest.categorical(label, sorted(values, key=_order))
                left = [index for index in left if _value(self._options[index], name) == value]
                chosen.append(str(value))
        return left[0]


def _value(option: Fields, name: str) -> str | float:
    """A field that an option lacks is `none`, or 0 where others have numbers."""
    return option.get(name, 0.0 if "." in name else "none")


def _order(value: str | float) -> tuple[bool, str | float]:
    return isinstance(value, str), value


def _meaning(option: Fields, options: Sequence[Fields]) -> dict[str, str | float]:
    """The fields that tell strategies apart, the optimizer first."""
    found: dict[str, str | float] = {"optimizer": option["optimizer"]}
    if "lr_relative" not in option and "lr" in option:
        rates = [float(other["lr"]) for other in options if other["optimizer"] == option["optimizer"]]
        middle = statistics.geometric_mean(rates)
        found["lr_relative"] = float(f"{float(option['lr']) / middle:.3g}")
    return found | {name: value for name, value in option.items() if name not in ("optimizer", "lr")}
