"""A model's scores are those of its answers, counted once for all metrics."""

from __future__ import annotations

import pytest
import torch

from mbo_search.errors import StudyError
from mbo_search.metrics.library import check_libraries, library
from mbo_search.metrics.measure import corpus_score
from mbo_search.metrics.registry import MEASURES
from mbo_search.metrics.score import ScoringPlan, TaskExample, score
from mbo_search.model.generation import GenerationLimits
from mbo_search.model.language_model import LanguageModel
from mbo_search.study.catalogue.metrics import METRICS
from mbo_search.study.spec.sections.model import ModelSpec

END = 0
WORDS = ["", "one", "two", "three", "four", "five", "six", "seven"]
LIMITS = GenerationLimits(max_new_tokens=6, beams=1, batch_rows=4, end_token=END)


class Counter(LanguageModel):
    """Counts on, one by one, to seven, and ends there."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = ModelSpec(layers=1, width=8, heads=1, context=16)
        self.vocab_size = len(WORDS)
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, input_ids_BT: torch.Tensor) -> torch.Tensor:
        return 9.0 * torch.nn.functional.one_hot((input_ids_BT + 1) % len(WORDS), len(WORDS)).float()


def detokenize(ids: tuple[int, ...] | list[int]) -> str:
    return "".join(f" {WORDS[number]}" for number in ids)


def example(prompt: list[int], reference: list[int]) -> TaskExample:
    return TaskExample(prompt=tuple(prompt), reference=tuple(reference))


def test_texts_are_generated_and_compared() -> None:
    examples = [example([2], [3, 4, 5, 6, 7]), example([5], [6, 5]), example([], [1, 2, 3, 4, 5, 6])]
    found = score(
        Counter().eval(), examples, ScoringPlan(metrics=("token_f1", "exact_match"), limits=LIMITS), detokenize
    )
    assert found.answers == ("three four five six seven", "six seven", "one two three four five six")
    assert found.scores == {"token_f1": pytest.approx((1 + 1 / 2 + 1) / 3), "exact_match": pytest.approx(2 / 3)}
    assert found.statistics["exact_match"].tolist() == [[1.0], [0.0], [1.0]]
    assert found.chosen == ()


def test_labels_are_chosen_and_a_label_that_training_has_not_is_never_right() -> None:
    examples = [example([6], [7]), example([3], [5]), example([6], [2, 2])]
    plan = ScoringPlan(metrics=("accuracy", "macro_f1"), limits=LIMITS, labels=((5,), (7,), (4, 4)))
    found = score(Counter().eval(), examples, plan, detokenize)
    assert found.chosen == (1, 1, 1), "only after a seven the model ends"
    assert found.scores == {"accuracy": pytest.approx(1 / 3), "macro_f1": pytest.approx((2 / 4 + 0 + 0) / 3)}
    assert found.statistics["accuracy"].tolist() == [[1, 1], [1, 0], [1, 3]]
    assert found.answers == ()


def test_every_metric_can_be_measured_at_once() -> None:
    plan = ScoringPlan(metrics=tuple(METRICS), limits=LIMITS, labels=((7,), (3,)))
    found = score(Counter().eval(), [example([6], [7]), example([2], [3])], plan, detokenize)
    assert list(found.scores) == list(METRICS)
    for name, statistics in found.statistics.items():
        assert corpus_score(MEASURES[name], statistics) == found.scores[name]


def test_the_libraries_of_all_metrics_are_looked_for_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_libraries(tuple(METRICS))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    check_libraries(["accuracy", "token_f1"])
    with pytest.raises(StudyError) as caught:
        check_libraries(["chrf", "accuracy", "bleu", "rouge_l"])
    assert [problem.rule for problem in caught.value.problems] == [
        "needs the package `sacrebleu`",
        "needs the package `rouge_score`",
    ]


def test_a_missing_library_is_named_with_its_extra() -> None:
    with pytest.raises(StudyError, match=r"needs the package `nowhere`.*mbo-search\[tasks\]"):
        library("nowhere.here")
