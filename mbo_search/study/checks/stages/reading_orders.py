"""Rules for the order in which a stage reads its text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mbo_search.errors import Problem
from mbo_search.study.catalogue.lookup import CORPORA
from mbo_search.study.checks.choices import unknown_name
from mbo_search.study.spec.dimensions.order import LENGTH, order_words
from mbo_search.study.spec.sections.choices import Orders
from mbo_search.study.spec.study import StudySpec


def check_orders(study: StudySpec) -> Iterator[Problem]:
    """Text is read by a score that it has."""
    for at, settings in [
        ("stage_defaults", study.stage_defaults),
        *((f"stages.{index}", stage) for index, stage in enumerate(study.stages)),
    ]:
        if settings.order is not None:
            yield from _check_choices(f"{at}.order", settings.order, (LENGTH, *(study.data.scores or ())))
            if study.data.task is not None:
                hint = "leave it out: examples of a task are read shuffled"
                yield Problem(key=f"{at}.order", rule="needs running text, not examples of a task", hint=hint)


def _check_choices(at: str, choices: Orders, known: Sequence[str]) -> Iterator[Problem]:
    for index, choice in enumerate(choices):
        if choice in choices[:index]:
            value = choice if isinstance(choice, str) else order_words(choice)
            yield Problem(key=f"{at}.{index}", value=value, rule="appears twice among the choices")
        if not isinstance(choice, str) and choice.by not in known:
            yield unknown_name(f"{at}.{index}.by", choice.by, "a score of the text", known)


def check_scores(study: StudySpec) -> Iterator[Problem]:
    """Scores are columns beside the text of the user's own files."""
    scores, data = study.data.scores or (), study.data
    for name in dict.fromkeys(scores):
        if not name.strip() or name == LENGTH or name == data.text_field or scores.count(name) > 1:
            rule = f"must be columns with different names, none of them {LENGTH} or that of the text"
            yield Problem(key="data.scores", value=repr(name), rule=rule)
    if scores and data.task is not None:
        hint = "leave them out"
        yield Problem(key="data.scores", rule="need running text, not examples of a task", hint=hint)
    for index, source in enumerate(data.source if scores else ()):
        if source in CORPORA or source.startswith("qa:"):
            hint = "leave it out, or leave data.scores out and read by length"
            yield Problem(key=f"data.source.{index}", value=source, rule="has none of data.scores", hint=hint)
