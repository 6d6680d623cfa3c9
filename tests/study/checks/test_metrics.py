"""Proves that metrics are refused where nothing could be measured, with a way out, and leave other studies as they
were."""

from __future__ import annotations

import pytest

from mbo_search.errors import StudyError
from mbo_search.study.files.study_file import parse_study
from mbo_search.study.spec.generate import GenerateSpec
from mbo_search.study.spec.sections.training import EvaluationSpec
from tests.study.studies import SMALL

PAIRS = SMALL.replace("{source: docs}", "{source: a.jsonl, task: {prompt: question, completion: answer}}")
LABELS = SMALL.replace("{source: docs}", "{source: a.jsonl, task: {text: body, label: topic}}")


def messages(text: str, *overrides: str) -> list[str]:
    with pytest.raises(StudyError) as caught:
        parse_study(text, "bad.yaml", overrides)
    return [str(problem) for problem in caught.value.problems]


def evaluation(text: str, *overrides: str) -> EvaluationSpec:
    return parse_study(text, "good.yaml", overrides).evaluation


def test_metrics_of_pairs_and_of_labels_are_accepted() -> None:
    assert evaluation(PAIRS, "evaluation.metrics=chrf").metrics == ("chrf",)
    assert evaluation(LABELS, "evaluation.metrics=[macro_f1, exact_match]").metrics == ("macro_f1", "exact_match")
    found = evaluation(PAIRS, "evaluation={metrics: [bleu], generate: {max_new_tokens: 63, beams: 4}}")
    assert found.generate == GenerateSpec(max_new_tokens=63, beams=4)


def test_an_unknown_metric_is_named_with_the_nearest() -> None:
    (found,) = messages(PAIRS, "evaluation.metrics=[bleu, chr_f]")
    assert "evaluation.metrics.1: chr_f is not a metric; known are accuracy, bleu, " in found
    assert "did you mean chrf?" in found


@pytest.mark.parametrize(
    ("text", "override", "message"),
    [
        (
            SMALL,
            "evaluation.metrics=[bleu]",
            "evaluation.metrics: bleu needs a task, whose answers it judges (set data.task",
        ),
        (PAIRS, "evaluation.metrics=[bleu, bleu]", "evaluation.metrics.1: bleu appears twice"),
        (
            PAIRS,
            "evaluation.metrics=[accuracy]",
            "accuracy needs a task with labels (write data.task as {text: ..., label",
        ),
        (PAIRS, "evaluation.generate={beams: 2}", "evaluation.generate: has no meaning without metrics"),
        (
            PAIRS,
            "evaluation={metrics: bleu, generate: {beams: 8, batch_rows: 4}}",
            "evaluation.generate.batch_rows: 4 must be at least the 8 beams of one answer",
        ),
        (
            PAIRS,
            "evaluation={metrics: bleu, generate: {max_new_tokens: 64}}",
            "evaluation.generate.max_new_tokens: 64 must be at least 1 and less than model.context, 64, or auto",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(text: str, override: str, message: str) -> None:
    (found,) = messages(text, override)
    assert message in found


def test_a_study_without_metrics_is_written_as_before() -> None:
    assert evaluation(SMALL).model_dump() == {"tokens": 50_000, "points": 10}
    written = evaluation(PAIRS, "evaluation={metrics: [bleu], generate: {}}").model_dump(mode="json")
    assert EvaluationSpec.model_validate(written).generate == GenerateSpec()
