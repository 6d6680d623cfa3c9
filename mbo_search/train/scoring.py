"""Metrics of a trained model on examples of a task, which it answers one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mbo_search.data.prepare import PreparedData
from mbo_search.data.tasks.example_rows import Examples
from mbo_search.metrics.score import Scored, ScoringPlan, TaskExample, score
from mbo_search.model.generation import GenerationLimits
from mbo_search.model.language_model import LanguageModel
from mbo_search.study.spec.generate import GenerateSpec
from mbo_search.train.saved_state import load_model
from mbo_search.train.setup.setup import TrainSetup


def score_state(
    state_dir: Path,
    setup: TrainSetup,
    prepared: PreparedData,
    *,
    examples: Examples,
    metrics: Sequence[str],
    generate: GenerateSpec,
) -> Scored:
    """Measure a trained model on examples.

    Raises:
        StoreError: If the folder holds no state of this model.
        StudyError: If a library that a metric needs is not installed.
    """
    torch.set_num_threads(setup.threads)
    model = load_model(state_dir, setup)
    return score_model(model, prepared, examples=examples, metrics=metrics, generate=generate)


def score_model(
    model: LanguageModel,
    prepared: PreparedData,
    *,
    examples: Examples,
    metrics: Sequence[str],
    generate: GenerateSpec,
) -> Scored:
    """Measure a model in evaluation mode on examples."""
    tokenizer = prepared.tokenizer()
    labels = prepared.metadata.labels or ()
    plan = ScoringPlan(
        metrics=tuple(metrics),
        limits=GenerationLimits(
            max_new_tokens=generate.most_new_tokens(model.spec.context),
            beams=generate.beams,
            batch_rows=max(generate.beams, generate.batch_rows),
            end_token=prepared.metadata.eos_id,
        ),
        labels=tuple(tuple(tokenizer.encode(label)) for label in labels),
    )
    return score(model, task_examples(examples), plan, lambda ids: tokenizer.decode(list(ids)))


def task_examples(examples: Examples) -> list[TaskExample]:
    """The prompt and the reference of each example: its last answer, and all that stands before it."""
    return [_task_example(examples, number) for number in range(len(examples))]


def _task_example(examples: Examples, number: int) -> TaskExample:
    first, length = int(examples.starts[number]), int(examples.lengths[number])
    tokens = examples.tokens[first : first + length].tolist()
    not_asked = np.flatnonzero(examples.asked[first : first + length] == 0)
    # What follows the last answer is no part of an example.
    begin = int(not_asked[-1]) + 1 if len(not_asked) else 0
    reference = tokens[begin:]
    if reference and reference[-1] == examples.eos_id:
        del reference[-1]
    return TaskExample(prompt=tuple(tokens[:begin]), reference=tuple(reference))
