"""All metrics of a model on examples of a task: it answers once, and every metric reads the same answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mbo_search.metrics.labels import label_statistics
from mbo_search.metrics.measure import Floats, corpus_score, text_statistics
from mbo_search.metrics.registry import LABEL_MEASURES, MEASURES, TEXT_MEASURES
from mbo_search.model.generation import GenerationLimits, generate_answers
from mbo_search.model.label_choice import choose_labels
from mbo_search.model.language_model import LanguageModel

Detokenize = Callable[[Sequence[int]], str]
"""Turns token ids into text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskExample:
    """A prompt with the right answer.

    Attributes:
        prompt: Token ids.
        reference: Token ids, without the end.
    """

    prompt: tuple[int, ...]
    reference: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringPlan:
    """What is measured, and how answers are got.

    Attributes:
        metrics: Names in the catalogue.
        limits: How answers are generated; labels are chosen with its rows and its end.
        labels: Token ids of the task's labels, without the end; empty where no metric asks for labels.
    """

    metrics: tuple[str, ...]
    limits: GenerationLimits
    labels: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What a model's answers are worth.

    Attributes:
        scores: Every metric of the plan on the whole set.
        statistics: By metric, few numbers for each example [N, W], in the order of the examples.
        answers: The generated texts, in the same order; empty where no metric asks for texts.
        chosen: The numbers of the chosen labels; empty where no metric asks for labels.
    """

    scores: Mapping[str, float]
    statistics: Mapping[str, Floats]
    answers: tuple[str, ...] = ()
    chosen: tuple[int, ...] = ()


def score(
    model: LanguageModel, examples: Sequence[TaskExample], plan: ScoringPlan, detokenize: Detokenize
) -> Scored:
    """Measure a model on examples.

    Args:
        model: A causal model in evaluation mode.
        examples: At least one. A prompt is read behind an end token, as in training.
        plan: What is measured.
        detokenize: The decoder of the model's tokenizer.

    Raises:
        StudyError: If a library that a metric needs is not installed.
    """
    assert examples, "no examples, no score"
    prompts = [[plan.limits.end_token, *example.prompt] for example in examples]
    of_texts = [name for name in plan.metrics if name in TEXT_MEASURES]
    of_labels = [name for name in plan.metrics if name in LABEL_MEASURES]
    answers = _answers(model, prompts, plan, detokenize) if of_texts else ()
    chosen = _chosen(model, prompts, plan) if of_labels else ()
    references = [detokenize(example.reference).strip() for example in examples] if of_texts else []
    statistics = {name: text_statistics(TEXT_MEASURES[name], answers, references) for name in of_texts}
    if of_labels:
        pairs = label_statistics(chosen, _right_labels(examples, plan.labels))
        statistics |= dict.fromkeys(of_labels, pairs)
    return Scored(
        scores={name: corpus_score(MEASURES[name], statistics[name]) for name in plan.metrics},
        statistics={name: statistics[name] for name in plan.metrics},
        answers=answers,
        chosen=chosen,
    )


def _answers(
    model: LanguageModel, prompts: Sequence[Sequence[int]], plan: ScoringPlan, detokenize: Detokenize
) -> tuple[str, ...]:
    """Generated texts without the spaces around them, which no metric should count."""
    return tuple(detokenize(answer).strip() for answer in generate_answers(model, prompts, plan.limits))


def _chosen(model: LanguageModel, prompts: Sequence[Sequence[int]], plan: ScoringPlan) -> tuple[int, ...]:
    limits = plan.limits
    found = choose_labels(model, prompts, plan.labels, end_token=limits.end_token, batch_rows=limits.batch_rows)
    return tuple(choice.label for choice in found)


def _right_labels(examples: Sequence[TaskExample], labels: Sequence[tuple[int, ...]]) -> list[int]:
    """Numbers of the right labels; those that no training example has get numbers that are never chosen."""
    unknown = sorted({example.reference for example in examples} - set(labels))
    numbers = {label: number for number, label in enumerate([*labels, *unknown])}
    return [numbers[example.reference] for example in examples]
