"""Rules for mixtures: names of sources, and weights that always leave something to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mbo_search.errors import Problem
from mbo_search.study.checks.choices import unknown_name
from mbo_search.study.checks.written import shown
from mbo_search.study.space.dimensions.mixture import NATURAL, REST, Weights, fixed_weights, is_fixed, names_label
from mbo_search.study.spec.dimensions.mixture import MOST_WEIGHT, mixture_words
from mbo_search.study.spec.sections.choices import Mixtures
from mbo_search.study.spec.sections.values import Numeric, Range, numbers_of
from mbo_search.study.spec.study import StudySpec

_RESERVED = (NATURAL, REST)


def check_source_names(study: StudySpec) -> Iterator[Problem]:
    """Every entry of the sources has a name that a mixture can name; a task has none."""
    names, data = study.data.source_names, study.data
    if names is None:
        return
    if data.task is not None:
        hint = "leave the names out"
        yield Problem(key="data.source_names", rule="need running text, not examples of a task", hint=hint)
    if len(names) != len(data.source):
        rule = f"must name each of the {len(data.source)} entries of data.source, not {len(names)}"
        yield Problem(key="data.source_names", value=", ".join(names), rule=rule)
    for name in dict.fromkeys(names):
        if not name.strip() or name in _RESERVED:
            rule = f"must be a word, and neither of {', '.join(_RESERVED)}"
            yield Problem(key="data.source_names", value=repr(name), rule=rule)


def check_mixtures(study: StudySpec) -> Iterator[Problem]:
    """Mixtures name sources, and are told apart."""
    names = study.data.source_names or study.data.source
    for at, settings in [
        ("stage_defaults", study.stage_defaults),
        *((f"stages.{index}", stage) for index, stage in enumerate(study.stages)),
    ]:
        if settings.mixture is not None:
            yield from _check_choices(f"{at}.mixture", settings.mixture, names)
            if study.data.task is not None:
                hint = "leave it out: examples of a task are read as they are"
                yield Problem(key=f"{at}.mixture", rule="needs running text, not examples of a task", hint=hint)


def _check_choices(at: str, choices: Mixtures, names: Sequence[str]) -> Iterator[Problem]:
    for index, choice in enumerate(choices):
        if isinstance(choice, str):
            if choice in choices[:index]:
                yield Problem(key=f"{at}.{index}", value=choice, rule="appears twice among the choices")
            continue
        yield from _check_weights(f"{at}.{index}", choice, names)
        yield from _check_apart(
            f"{at}.{index}", choice, [one for one in choices[:index] if not isinstance(one, str)]
        )


def _check_weights(at: str, weights: Weights, names: Sequence[str]) -> Iterator[Problem]:
    for name, weight in weights.items():
        if name not in names:
            yield unknown_name(f"{at}.{name}", name, "a source of the study", names)
        elif "+" in name:
            hint = "give it a name in data.source, such as {docs: PATH}"
            yield Problem(key=f"{at}.{name}", value=name, rule="must not hold a plus sign", hint=hint)
        if not isinstance(weight, str):
            yield from _check_weight(f"{at}.{name}", weight)
    if sum(weight == REST for weight in weights.values()) > 1:
        yield Problem(key=at, value=REST, rule="is the weight of two sources; one can take what the others leave")
        return
    numbers = [numbers_of(weight) for weight in weights.values() if not isinstance(weight, str)]
    if len(numbers) < len(weights) and sum(map(max, numbers)) > 1 + 1e-9:
        rule = f"leaves nothing for {REST}: the other weights may come to {sum(map(max, numbers)):g}, more than 1"
        yield Problem(key=at, rule=rule, hint="lower them, or write a number for each source")
    if len(numbers) == len(weights) and not any(min(found) > 0 for found in numbers):
        hint = f"write {REST} for one of them, or leave 0 out of one"
        yield Problem(key=at, rule="may have no weight above 0", hint=hint)


def _check_weight(at: str, weight: Numeric) -> Iterator[Problem]:
    if not all(0 <= number <= MOST_WEIGHT for number in numbers_of(weight)):
        yield Problem(key=at, value=shown(weight), rule=f"must be in [0, {MOST_WEIGHT:g}]")
    if isinstance(weight, Range) and weight.low >= weight.high:
        yield Problem(key=at, value=shown(weight), rule="must have low below high", hint="write a number to fix it")
    if isinstance(weight, tuple) and len(set(weight)) < len(weight):
        yield Problem(key=at, value=shown(weight), rule="has a number twice among the choices")


def _check_apart(at: str, weights: Weights, before: Sequence[Weights]) -> Iterator[Problem]:
    """Mixtures of the same sources are numbers only, and different ones."""
    alike = [other for other in before if names_label(other) == names_label(weights)]
    if alike and not all(map(is_fixed, (weights, *alike))):
        rule = "is a second mixture of the same sources, with weights to search in one of them"
        hint = "put all weights into one mixture, or write numbers in each"
        yield Problem(key=at, value=names_label(weights), rule=rule, hint=hint)
    elif alike and _words(weights) in map(_words, alike):
        yield Problem(key=at, value=_words(weights), rule="appears twice among the choices")


def _words(weights: Weights) -> str:
    """Shares in words; empty where there are none, which is said elsewhere."""
    numbers = fixed_weights(weights)
    return mixture_words(numbers) if sum(numbers.values()) > 0 else ""
