"""Settings of schedules as parameters of an Optuna study, named by stage: `warm/lr`, `cool/muon/momentum`.

They are read from the recipes, not from what a searcher drew: so baselines and confirm runs have them as well, tied
settings appear in every stage that they hold for, and a learning rate is the one that was trained with. A setting
that belongs to an optimizer, a shape or a regularizer stands below its name, and only where it is in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from mbo_search.results.records.describe import part_settings
from mbo_search.results.records.records import TrialSpec
from mbo_search.study.checks.written import shown
from mbo_search.study.spec.dimensions.table import dimension_words
from mbo_search.study.spec.foreign.custom import CustomValue
from mbo_search.study.spec.schedule import Schedule, Stage

Value = float | str
_ALWAYS = frozenset({"optimizer", "lr"})
"""Settings that are shown even where all trials agree in them."""

_LOG_FROM_RATIO = 8.0


def settings_of(schedule: Schedule) -> dict[str, Value]:
    """All settings of a schedule by name.

    >>> settings_of(Schedule(stages=(Stage(name="warm", share=1.0, optimizer="adamw", lr=0.002),)))["warm/lr"]
    0.002
    """
    names = _unique_names(schedule)
    return {
        f"{name}/{key}": value
        for name, stage in zip(names, schedule.stages, strict=True)
        for key, value in settings_of_stage(stage)
    }


def _unique_names(schedule: Schedule) -> list[str]:
    """Names of the stages; where two are alike, all get their numbers."""
    names = [stage.name for stage in schedule.stages]
    if len(set(names)) == len(names):
        return names
    return [f"{number}-{name}" for number, name in enumerate(names, start=1)]


def settings_of_stage(stage: Stage) -> Iterator[tuple[str, Value]]:
    """All settings of a stage by name; those of a part of it stand below the part's name."""
    yield "optimizer", stage.optimizer
    yield "lr", stage.lr
    yield "share", stage.share
    yield "lr_shape", stage.lr_shape.kind
    yield from ((f"{stage.lr_shape.kind}/{name}", value) for name, value in stage.lr_shape.hparams.items())
    yield "warmup", stage.warmup
    yield "weight_decay", stage.weight_decay
    if stage.clip_norm is not None:
        yield "clip_norm", stage.clip_norm
    yield from part_settings(stage).items()
    yield from ((f"{stage.optimizer}/{name}", value) for name, value in stage.hparams.items())
    yield "regularizers", " + ".join(one.kind for one in stage.regularizers) or "none"
    yield from ((f"{one.kind}/strength", one.strength) for one in stage.regularizers)
    yield "trainable", stage.trainable
    yield from dimension_words(stage).items()
    if stage.adapter is not None:
        yield "lora/targets", stage.adapter.targets
    yield from ((f"custom/{name}", _plain(value)) for name, value in stage.custom.items())
    if stage.hand_over is not None:
        yield "hand_over", stage.hand_over


def _plain(value: CustomValue) -> Value:
    """Truth in a word: figures take it for a number otherwise."""
    return shown(value) if isinstance(value, bool) else value


def distributions_of(specs: Sequence[TrialSpec]) -> dict[str, BaseDistribution]:
    """Distribution of every setting in which some trials differ, the same for all of them.

    Optuna groups trials by equal distributions, so one range for all makes a figure of them comparable.
    A warm-up that nobody chose is left out: it follows from the hand-over.
    """
    is_warmup_chosen = any(name.endswith(("/warmup", "/rewarm")) for spec in specs for name in spec.params)
    values: dict[str, list[Value]] = {}
    for spec in specs:
        for name, value in settings_of(spec.schedule).items():
            if is_warmup_chosen or not name.endswith("/warmup"):
                values.setdefault(name, []).append(value)
    return {
        name: _distribution(name, found)
        for name, found in sorted(values.items())
        if len(set(found)) > 1 or name.rpartition("/")[2] in _ALWAYS
    }


def _distribution(name: str, values: Iterable[Value]) -> BaseDistribution:
    found = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    numbers = [value for value in found if not isinstance(value, str)]
    if len(numbers) < len(found):
        return CategoricalDistribution(found)
    low, high = numbers[0], numbers[-1]
    is_log = low > 0 and (name.endswith("/lr") or high / low >= _LOG_FROM_RATIO)
    return FloatDistribution(low, high, log=is_log)
