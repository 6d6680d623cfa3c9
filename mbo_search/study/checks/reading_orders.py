"""Rules for the order in which a stage reads its text."""

from __future__ import annotations

from collections.abc import Iterator

from mbo_search.errors import Problem
from mbo_search.study.checks.choices import unknown_name
from mbo_search.study.spec.dimensions.order import LENGTH, order_words
from mbo_search.study.spec.study import Orders, StudySpec


def check_orders(study: StudySpec) -> Iterator[Problem]:
    """Text is read by a score that it has."""
    for at, settings in [
        ("stage_defaults", study.stage_defaults),
        *((f"stages.{index}", stage) for index, stage in enumerate(study.stages)),
    ]:
        if settings.order is not None:
            yield from _check_choices(f"{at}.order", settings.order)
            if study.data.task is not None:
                hint = "leave it out: examples of a task are read shuffled"
                yield Problem(key=f"{at}.order", rule="needs running text, not examples of a task", hint=hint)


def _check_choices(at: str, choices: Orders) -> Iterator[Problem]:
    for index, choice in enumerate(choices):
        if choice in choices[:index]:
            value = choice if isinstance(choice, str) else order_words(choice)
            yield Problem(key=f"{at}.{index}", value=value, rule="appears twice among the choices")
        if not isinstance(choice, str) and choice.by != LENGTH:
            yield unknown_name(f"{at}.{index}.by", choice.by, "a score of the text", (LENGTH,))
