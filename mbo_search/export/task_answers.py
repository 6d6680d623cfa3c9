"""Answers of a schedule's model to held-out examples of a task, for people to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mbo_search.report.samples import TextSample
from mbo_search.results.evidence.ranking_values import RankedTrial
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.spec.generate import GenerateSpec

if TYPE_CHECKING:
    from mbo_search.data.prepare import PreparedData
    from mbo_search.data.tasks.example_rows import Examples
    from mbo_search.model.language_model import LanguageModel

_NUM_EXAMPLES = 5


def task_answers(
    run: RunDirectory, row: RankedTrial, model: LanguageModel, prepared: PreparedData
) -> tuple[TextSample, ...]:
    """Let a model answer a few held-out examples, those on which finished models are judged where there are any."""
    from mbo_search.metrics.task_examples import task_examples
    from mbo_search.model.generation import generate_answers
    from mbo_search.train.scoring import generation_limits

    tokenizer, generate = prepared.tokenizer(), run.study().evaluation.generate or GenerateSpec()
    examples = task_examples(_held_out(run, prepared))
    limits = generation_limits(generate, model, prepared)
    prompts = [[limits.end_token, *example.prompt] for example in examples]
    answers = generate_answers(model, prompts, limits)
    return tuple(
        TextSample(
            trial=row.trial,
            label=row.rung,
            prompt=tokenizer.decode(list(example.prompt)).strip(),
            continuation=tokenizer.decode(list(answer)).strip(),
            val_perplexity=row.val_perplexity,
            reference=tokenizer.decode(list(example.reference)).strip(),
        )
        for example, answer in zip(examples, answers, strict=True)
    )


def _held_out(run: RunDirectory, prepared: PreparedData) -> Examples:
    """A few examples, evenly chosen."""
    import numpy as np

    from mbo_search.train.setup.eval_text import judged_examples, searched_examples

    setup = run.setup()
    judged = judged_examples(prepared, setup)
    examples = searched_examples(prepared, setup) if judged is None else judged
    count = min(_NUM_EXAMPLES, len(examples))
    return examples.chosen(np.arange(count, dtype=np.int64) * len(examples) // count)
