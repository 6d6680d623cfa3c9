"""Rules for single settings: every choice is in the catalogue, every number in its range."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from mbo_search.errors import Problem
from mbo_search.study.catalogue.entries import Hparam
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.catalogue.suggestions import nearest_hint
from mbo_search.study.checks.written import shown
from mbo_search.study.space.optional import may_be_first
from mbo_search.study.spec.adapters import LoraSpec
from mbo_search.study.spec.network_facts import ModelDescription
from mbo_search.study.spec.schedule import LORA
from mbo_search.study.spec.sections.choices import RegularizerChoice, RelativeLr, Timescale
from mbo_search.study.spec.sections.stages import StageDefaults
from mbo_search.study.spec.sections.values import HparamSpace, HparamValue, Numeric, Range, is_numeric, numbers_of
from mbo_search.study.spec.study import StudySpec

MOST_LR = 1e15
"""Largest learning rate, factor, weight decay and gradient norm: far beyond use, and far from overflow."""


_MOST_RATIO = 1000


def check_choices(study: StudySpec) -> Iterator[Problem]:
    """Check the choices of the defaults and of each stage one by one."""
    yield from _check_strategy("stage_defaults", study.stage_defaults, study.model)
    yield from _check_adapters(study.model.lora)
    for index, stage in enumerate(study.stages):
        yield from _check_strategy(f"stages.{index}", stage, study.model)
        yield from _check_misplaced(f"stages.{index}", stage, is_first=index == 0, leads=may_be_first(study, index))


def unknown_name(key: str, name: str, what: str, known: Iterable[str]) -> Problem:
    """A name that is not in a list."""
    names = tuple(known)
    hint = nearest_hint(name, names)
    return Problem(key=key, value=name, rule=f"is not {what}; known are {', '.join(sorted(names))}", hint=hint)


_BLOCK = re.compile(r"embeddings|attention|mlp|norms|lora|layers:(\d{1,4})-(\d{1,4})")


def block_rule(block: str, model: ModelDescription) -> str:
    """What is wrong with a block of an expression; empty if nothing is."""
    num_layers = model.num_layers
    match = _BLOCK.fullmatch(block)
    if match is None:
        return "must be `all`, or blocks joined by + from embeddings, attention, mlp, norms, layers:A-B, lora"
    if block == LORA and model.lora is None:
        return "names adapters, and the model has none: it needs model.adapters"
    if match[1] is None:
        return ""
    first, last = int(match[1]), int(match[2])
    if num_layers is None:
        return "must name the lower layer first" if first > last else ""
    if first > last or last >= num_layers:
        return f"must name layers from 0 to {num_layers - 1}, the first one first"
    return ""


def _check_strategy(at: str, settings: StageDefaults, model: ModelDescription) -> Iterator[Problem]:
    for name, infos, choices in (
        ("optimizer", OPTIMIZERS, [(c.name, c.hparams) for c in settings.optimizer or ()]),
        ("lr_shape", LR_SHAPES, [(c.kind, c.hparams) for c in settings.lr_shape or ()]),
    ):
        known = {key: info.hparams for key, info in infos.items()}
        yield from check_named(
            f"{at}.{name}", choices, known, what="an optimizer" if name == "optimizer" else "a learning-rate shape"
        )
    yield from _check_numbers(at, settings)
    yield from _check_groups(f"{at}.groups", settings)
    yield from _check_regularizers(f"{at}.regularizers", settings)
    yield from _check_trainable(f"{at}.trainable", settings.trainable or (), model)
    yield from _check_distinct(f"{at}.hand_over", settings.hand_over or ())


def _check_misplaced(at: str, stage: StageDefaults, *, is_first: bool, leads: bool) -> Iterator[Problem]:
    if is_first and stage.hand_over is not None:
        yield Problem(key=f"{at}.hand_over", rule="has no meaning in the first stage, which takes nothing over")
    if is_first and stage.rewarm is not None:
        yield Problem(key=f"{at}.rewarm", rule="has no meaning in the first stage", hint="its warm-up is `warmup`")
    if not leads and stage.warmup is not None:
        hint = "the warm-up of a later stage is `rewarm`"
        yield Problem(key=f"{at}.warmup", rule="has a meaning in the first stage only", hint=hint)


def check_named(
    at: str, choices: Sequence[tuple[str, HparamSpace]], known: Mapping[str, Mapping[str, Hparam]], *, what: str
) -> Iterator[Problem]:
    """Check choices by name: each is known and appears once, and so are its settings and their numbers.

    Args:
        at: Key path of the list of choices.
        choices: Names with their settings.
        known: The settings of everything that may be named.
        what: What the names are, for people.
    """
    names = [name for name, _ in choices]
    for index, (name, hparams) in enumerate(choices):
        if name not in known:
            yield unknown_name(f"{at}.{index}", name, what, known)
            continue
        if name in names[:index]:
            hint = f"list what differs inside, as in {{{name}: {{setting: [a, b]}}}}"
            yield Problem(key=f"{at}.{index}", value=name, rule="appears twice among the choices", hint=hint)
        for setting, value in hparams.items():
            key = f"{at}.{index}.hparams.{setting}"
            if setting not in known[name]:
                yield _unknown_setting(key, setting, name, known[name])
            else:
                yield from _check_setting(key, value, known[name][setting])


def _unknown_setting(key: str, setting: str, owner: str, known: Mapping[str, Hparam]) -> Problem:
    rule = (
        f"is not a setting of {owner}; known are {', '.join(sorted(known))}"
        if known
        else f"{owner} has no settings"
    )
    return Problem(key=key, rule=rule, hint=nearest_hint(setting, known))


def _check_setting(key: str, value: HparamValue, known: Hparam) -> Iterator[Problem]:
    if known.choices:
        for name in value if isinstance(value, tuple) else (value,):
            if name not in known.choices:
                yield unknown_name(key, shown(name), "a valid choice", known.choices)
        yield from _check_distinct(key, value if isinstance(value, tuple) else ())
        return
    if not is_numeric(value):
        yield Problem(key=key, value=shown(value), rule="must be a number")
        return
    low = -math.inf if known.low is None else known.low
    high = math.inf if known.high is None else known.high
    yield from _check_numeric(
        key, value, rule=f"must be in [{low:g}, {high:g}]", holds=lambda number: low <= number <= high
    )
    if known.whole and any(number != round(number) for number in numbers_of(value)):
        yield Problem(key=key, value=shown(value), rule="must be a whole number")


def _check_numbers(at: str, settings: StageDefaults) -> Iterator[Problem]:
    lr, decay = settings.lr, settings.weight_decay
    positive = (
        f"must be greater than 0 and at most {MOST_LR:g}",
        lambda number: 0 < number <= MOST_LR,
    )
    decay_rule = (f"must not be negative, and at most {MOST_LR:g}", lambda number: 0 <= number <= MOST_LR)
    share = ("must be a share of the budget in [0, 1)", lambda number: 0 <= number < 1)
    timescale = (
        f"must be a share of the budget, above 0 and at most {_MOST_RATIO}",
        lambda number: 0 < number <= _MOST_RATIO,
    )
    checks: list[tuple[str, object, tuple[str, Callable[[float], bool]]]] = [
        (
            "lr.relative" if isinstance(lr, RelativeLr) else "lr",
            lr.relative if isinstance(lr, RelativeLr) else lr,
            positive,
        ),
        ("warmup", settings.warmup, share),
        ("rewarm", settings.rewarm, share),
        (
            "weight_decay.timescale" if isinstance(decay, Timescale) else "weight_decay",
            decay.timescale if isinstance(decay, Timescale) else decay,
            timescale if isinstance(decay, Timescale) else decay_rule,
        ),
        ("clip_norm", settings.clip_norm, positive),
        ("layer_decay", settings.layer_decay, ("must be above 0 and at most 1", lambda number: 0 < number <= 1)),
    ]
    for name, value, (rule, holds) in checks:
        if isinstance(value, float | int | Range | tuple):
            yield from _check_numeric(f"{at}.{name}", value, rule=rule, holds=holds)
    if not isinstance(decay, Timescale):
        yield from _check_decay_range(f"{at}.weight_decay", decay)


def _check_decay_range(key: str, decay: Numeric | None) -> Iterator[Problem]:
    if isinstance(decay, Range) and decay.low == 0:
        rule = "must be greater than 0, because weight decay is searched on a logarithmic scale"
        yield Problem(key=f"{key}.low", value="0", rule=rule, hint="write a list to include 0")


def _check_groups(at: str, settings: StageDefaults) -> Iterator[Problem]:
    for kind, block in () if settings.groups is None else settings.groups:
        if block is None:
            continue
        ratio, decay, key = block.lr_ratio, block.weight_decay, f"{at}.{kind}"
        if ratio is None and decay is None:
            yield Problem(key=key, rule="sets nothing", hint="give it an lr_ratio or a weight_decay")
        if ratio is not None:
            rule = "must be a factor of the stage's learning rate, above 0 and at most 1000"
            yield from _check_numeric(f"{key}.lr_ratio", ratio, rule=rule, holds=lambda n: 0 < n <= _MOST_RATIO)
        if decay is not None:
            rule = f"must not be negative, and at most {MOST_LR:g}"
            yield from _check_numeric(f"{key}.weight_decay", decay, rule=rule, holds=lambda n: 0 <= n <= MOST_LR)
            yield from _check_decay_range(f"{key}.weight_decay", decay)
            if kind == "norms" and max(numbers_of(decay)) > 0:
                rule = "would do nothing: weight decay shrinks matrices, and norms have none"
                yield Problem(key=f"{key}.weight_decay", value=shown(decay), rule=rule)


def _check_regularizers(at: str, settings: StageDefaults) -> Iterator[Problem]:
    labels: list[str] = []
    for position, choices in enumerate(settings.regularizers or ()):
        kinds = [choice.kind for choice in choices]
        for index, choice in enumerate(choices):
            key = f"{at}.{position}.{index}"
            if choice.kind not in REGULARIZERS:
                yield unknown_name(key, choice.kind, "a regularizer", REGULARIZERS)
                continue
            if choice.kind in kinds[:index]:
                yield Problem(key=key, value=choice.kind, rule="appears twice in one set")
            yield from _check_strength(f"{key}.strength", choice.kind, choice.strength)
            yield from _check_needed(key, choice.kind, choices)
        label = "+".join(sorted(kinds)) or "none"
        if label in labels:
            hint = "list the numbers inside one set, as in [{dropout: [0.1, 0.2]}]"
            yield Problem(key=f"{at}.{position}", value=label, rule="is a set that appears twice", hint=hint)
        labels.append(label)


def _check_needed(key: str, kind: str, choices: Sequence[RegularizerChoice]) -> Iterator[Problem]:
    """What a regularizer does nothing without is in its set, and never switched off."""
    needed = REGULARIZERS[kind].needs
    if not needed:
        return
    strengths = [number for one in choices if one.kind == needed for number in numbers_of(one.strength)]
    if not strengths or min(strengths) == 0:
        low = REGULARIZERS[needed].search_low
        hint = f"write both into one set, such as [{{{kind}: 1.0, {needed}: {low:g}}}]"
        yield Problem(key=key, value=kind, rule=f"does nothing without {needed}, which must be above 0", hint=hint)


def _check_strength(key: str, kind: str, strength: Numeric) -> Iterator[Problem]:
    info = REGULARIZERS[kind]
    yield from _check_numeric(
        key,
        strength,
        rule=f"must be in [{info.low:g}, {info.high:g}] for {kind}",
        holds=lambda number: info.low <= number <= info.high,
    )
    if info.log and isinstance(strength, Range) and strength.low == 0:
        rule = f"must be greater than 0, because {kind} is searched on a logarithmic scale"
        yield Problem(key=f"{key}.low", value="0", rule=rule, hint="a set without it stands for 0")


def _check_adapters(lora: LoraSpec | None) -> Iterator[Problem]:
    for name, choices in () if lora is None else lora:
        yield from _check_distinct(f"model.adapters.lora.{name}", choices or ())


def _check_trainable(at: str, expressions: Sequence[str], model: ModelDescription) -> Iterator[Problem]:
    yield from _check_distinct(at, expressions)
    for index, expression in enumerate(expressions):
        if expression == "all":
            continue
        for block in expression.split("+"):
            problem = block_rule(block.strip(), model)
            if problem:
                yield Problem(key=f"{at}.{index}", value=expression, rule=problem)


def _check_numeric(key: str, value: Numeric, *, rule: str, holds: Callable[[float], bool]) -> Iterator[Problem]:
    if not all(holds(number) for number in numbers_of(value)):
        yield Problem(key=key, value=shown(value), rule=rule)
    if isinstance(value, Range) and value.low >= value.high:
        yield Problem(key=key, value=shown(value), rule="must have low below high", hint="write a number to fix it")
    if isinstance(value, tuple):
        yield from _check_distinct(key, value)


def _check_distinct(key: str, choices: Sequence[object]) -> Iterator[Problem]:
    if len(set(choices)) < len(choices):
        twice = next(choice for index, choice in enumerate(choices) if choice in choices[:index])
        yield Problem(key=key, value=shown(twice), rule="appears twice among the choices")
