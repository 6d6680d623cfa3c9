"""Searched settings by their names in the study's database: `stage/0/lr_relative` and the like.

Settings of the user's own that hold for whole schedules are chosen with the first stage (`stage/0/study/width`) and
belong to none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mbo_search.results.records.records import TrialRecord
from mbo_search.study.checks.written import shown
from mbo_search.study.space.custom_axes import OF_STAGE, OF_STUDY
from mbo_search.study.space.parameter_names import stage_of

Value = bool | float | int | str


def parameter_name(parameter: str, names: Mapping[str, str]) -> str:
    """The part of a parameter's name after its stage, in the words of a page; names of the catalogue stay.

    >>> parameter_name("stage/0/lr_relative", {"setting_lr_relative": "learning rate"})
    'learning rate'
    >>> parameter_name("stage/1/adamw/beta2", {}), parameter_name("stage/1/regularizers/dropout/dropout", {})
    ('adamw beta2', 'dropout')
    >>> parameter_name("stage/1/custom/batch_size", {}), parameter_name("stage/0/study/width", {})
    ('batch_size', 'width')
    """
    tail = parameter.split("/")[2:] if parameter.startswith("stage/") else [parameter]
    if tail[0] in (OF_STAGE, OF_STUDY):
        return tail[-1]
    if len(tail) == 3 and tail[0] == "regularizers":
        tail = [tail[2]] if tail[1] == tail[2] else [tail[1], tail[2]]
    return " ".join(names.get(f"setting_{part}", part.replace("_", " ")) for part in tail)


def choice_text(value: Value) -> str:
    """A choice as it is written in files."""
    return shown(value) if isinstance(value, bool) else str(value)


def choice_name(value: Value, names: Mapping[str, str]) -> Value:
    """A choice in the words of a page; names of the catalogue and numbers stay."""
    return names.get(f"choice_{value}", value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One searched setting over many trials.

    Attributes:
        parameter: Its name.
        choices: Its values where it is a choice; empty for numbers.
        low: Smallest number seen.
        high: Largest number seen.
        log: Whether numbers are best seen on a logarithmic axis.
        conditional: Whether some trials do not have it.
    """

    parameter: str
    choices: tuple[str, ...]
    low: float
    high: float
    log: bool
    conditional: bool


def parameter_axes(records: Sequence[TrialRecord]) -> tuple[Axis, ...]:
    """The settings that differ between trials, in order of the stages, optimizers first."""
    names = sorted({name for record in records for name in record.params}, key=_order)
    axes = [_axis(name, [record.params for record in records]) for name in names]
    return tuple(axis for axis in axes if axis is not None)


def _order(parameter: str) -> tuple[int, int, str]:
    tail = parameter.split("/")[2:]
    leads = ("optimizer", "lr_relative", "lr", "lr_shape", "share")
    return stage_of(parameter), leads.index(tail[0]) if tail and tail[0] in leads else len(leads), parameter


def _axis(parameter: str, all_params: Sequence[Mapping[str, Value]]) -> Axis | None:
    values = [params[parameter] for params in all_params if parameter in params]
    conditional = len(values) < len(all_params)
    if len(set(values)) < 2 and not conditional:
        return None
    numbers = [float(value) for value in values if not isinstance(value, str | bool)]
    choices = () if len(numbers) == len(values) else tuple(sorted({choice_text(value) for value in values}))
    low, high = (min(numbers), max(numbers)) if not choices else (0.0, float(len(choices) - 1))
    return Axis(
        parameter=parameter,
        choices=choices,
        low=low,
        high=high,
        log=not choices and low > 0 and high / low >= 8,
        conditional=conditional,
    )
