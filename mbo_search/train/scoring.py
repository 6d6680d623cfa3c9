"""Metrics of a trained model on examples of a task, which it answers one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from mbo_search.data.prepare import PreparedData
from mbo_search.data.tasks.example_rows import Examples
from mbo_search.metrics.score import Scored, ScoringPlan, score
from mbo_search.metrics.task_examples import task_examples
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
        limits=generation_limits(generate, model, prepared),
        labels=tuple(tuple(tokenizer.encode(label)) for label in labels),
    )
    return score(model, task_examples(examples), plan, lambda ids: tokenizer.decode(list(ids)))


def generation_limits(generate: GenerateSpec, model: LanguageModel, prepared: PreparedData) -> GenerationLimits:
    """How a model answers the prompts of its task, as the study says."""
    return GenerationLimits(
        max_new_tokens=generate.most_new_tokens(model.spec.context),
        beams=generate.beams,
        batch_rows=max(generate.beams, generate.batch_rows),
        end_token=prepared.metadata.eos_id,
    )
