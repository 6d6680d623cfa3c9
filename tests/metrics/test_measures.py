"""Every metric gives the value that a hand computes and that its library gives when called directly; all of them
stay in their range, do not depend on the order of examples, and reward perfect answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sklearn import metrics as sklearn_metrics

from mbo_search.metrics.labels import label_statistics
from mbo_search.metrics.measure import Floats, corpus_score, text_statistics
from mbo_search.metrics.registry import LABEL_MEASURES, MEASURES, TEXT_MEASURES
from mbo_search.study.catalogue.metrics import METRICS

CHINESE = ["\u5317\u4eac\u5e02\u4e1c\u57ce\u533a", "\u6cd5\u56fd\u9996\u90fd\u5df4\u9ece"]

sentences = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat.", "Mats!"]), max_size=9).map(" ".join)
texts = st.one_of(sentences, st.text(max_size=12), st.sampled_from(CHINESE))
pairs = st.lists(st.tuples(texts, texts), min_size=1, max_size=6)
english_pairs = st.lists(st.tuples(sentences, sentences), min_size=1, max_size=6)
labelled = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12)


def score_texts(name: str, answers: list[str], references: list[str]) -> float:
    measure = TEXT_MEASURES[name]
    return corpus_score(measure, text_statistics(measure, answers, references))


def score_labels(name: str, chosen: list[int], right: list[int]) -> float:
    return corpus_score(LABEL_MEASURES[name], label_statistics(chosen, right))


def statistics_of(name: str, rows: list[tuple[str, str]]) -> Floats:
    return text_statistics(TEXT_MEASURES[name], *map(list, zip(*rows, strict=True)))


def test_every_metric_of_the_catalogue_is_computed() -> None:
    assert sorted(MEASURES) == sorted(METRICS)
    assert {name for name, info in METRICS.items() if info.needs == "generation"} == set(TEXT_MEASURES)


def test_exact_match_by_hand() -> None:
    answers = ["The Cat!", "a dog", "-", "Paris, France", "\u300c\u5317\u4eac\u300d"]
    references = ["cat", "dogs", "+", "paris france", "\u5317\u4eac"]
    assert score_texts("exact_match", answers, references) == 3 / 5


def test_token_f1_by_hand() -> None:
    # "cat sat down" and "cat sat on mat" share two words: precision 2/3, recall 1/2, F1 4/7.
    assert score_texts("token_f1", ["the cat sat down"], ["a cat sat on the mat"]) == pytest.approx(4 / 7)
    # Of "b b b" and "b b" two are in common: 4 / 5. Chinese: three of four and three characters.
    assert score_texts("token_f1", ["b b b"], ["b b"]) == pytest.approx(4 / 5)
    assert score_texts("token_f1", ["\u5317\u4eac\u5e02\u533a"], ["\u5317\u4eac\u5e02"]) == pytest.approx(6 / 7)


def test_rouge_l_by_hand() -> None:
    # The longest common subsequence of "police kill the gunman" and "police killed the gunman" has three words.
    assert score_texts("rouge_l", ["police kill the gunman"], ["police killed the gunman"]) == pytest.approx(3 / 4)
    assert score_texts("rouge_l", [CHINESE[0]], [CHINESE[0][:3]]) == pytest.approx(2 * 3 / 9)


def test_bleu_by_hand() -> None:
    # Words 5/6, pairs 3/5, triples 1/4, quadruples 0/3, which count as half a match; nothing is too short.
    found = score_texts("bleu", ["the cat sat on the mat"], ["the cat is on the mat"])
    assert found == pytest.approx(100 * (5 / 6 * 3 / 5 * 1 / 4 * (0.5 / 3)) ** 0.25)
    # All is right, but of eight words only six were said.
    found = score_texts("bleu", ["one two three four five six"], ["one two three four five six seven eight"])
    assert found == pytest.approx(100 * math.exp(1 - 8 / 6))


def test_chrf_by_hand() -> None:
    # "abc" and "abd": characters 2/3, pairs 1/2, triples 0, no longer ones; precision and recall are equal.
    assert score_texts("chrf", ["abc"], ["abd"]) == pytest.approx(100 * (2 / 3 + 1 / 2 + 0) / 3)
    # Half of the reference, all right: precision 1, recall 1/2, 0 pairs in the answer.
    assert score_texts("chrf", ["a"], ["ab"]) == pytest.approx(100 * 5 * 0.5 / (4 + 0.5))


def test_label_metrics_by_hand() -> None:
    # Chosen 0 0 1 1 2, right 0 1 1 1 0. F1: label 0 2*1/(2+2), label 1 2*2/(2+3), label 2 0/(1+0).
    chosen, right = [0, 0, 1, 1, 2], [0, 1, 1, 1, 0]
    assert score_labels("accuracy", chosen, right) == pytest.approx(3 / 5)
    assert score_labels("macro_f1", chosen, right) == pytest.approx((1 / 2 + 4 / 5 + 0) / 3)
    # (3*5 - (2*2 + 2*3 + 1*0)) / sqrt((25 - (4 + 4 + 1)) * (25 - (4 + 9)))
    assert score_labels("matthews", chosen, right) == pytest.approx((15 - 10) / math.sqrt(16 * 12))


@given(english_pairs)
def test_bleu_is_that_of_sacrebleu(rows: list[tuple[str, str]]) -> None:
    answers, references = map(list, zip(*rows, strict=True))
    expected = sacrebleu.BLEU().corpus_score(answers, [references]).score
    assert score_texts("bleu", answers, references) == pytest.approx(expected, abs=1e-9)


def test_bleu_of_chinese_is_that_of_sacrebleu_for_chinese() -> None:
    answers = ["\u5317\u4eac\u5e02\u897f\u57ce\u533a", "\u6cd5\u56fd\u7684\u9996\u90fd\u5df4\u9ece"]
    expected = sacrebleu.BLEU(tokenize="zh").corpus_score(answers, [CHINESE]).score
    assert score_texts("bleu", answers, CHINESE) == pytest.approx(expected, abs=1e-9) != 0


@given(pairs)
def test_chrf_is_that_of_sacrebleu(rows: list[tuple[str, str]]) -> None:
    answers, references = map(list, zip(*rows, strict=True))
    expected = sacrebleu.CHRF().corpus_score(answers, [references]).score
    assert score_texts("chrf", answers, references) == pytest.approx(expected, abs=1e-9)


@given(english_pairs)
def test_rouge_l_is_that_of_rouge_score(rows: list[tuple[str, str]]) -> None:
    answers, references = map(list, zip(*rows, strict=True))
    scorer = RougeScorer(["rougeL"])
    expected = [scorer.score(wanted, found)["rougeL"].fmeasure for found, wanted in rows]
    assert score_texts("rouge_l", answers, references) == pytest.approx(np.mean(expected))


@given(labelled)
def test_label_metrics_are_those_of_scikit_learn(rows: list[tuple[int, int]]) -> None:
    chosen, right = map(list, zip(*rows, strict=True))
    assert score_labels("accuracy", chosen, right) == pytest.approx(sklearn_metrics.accuracy_score(right, chosen))
    expected = sklearn_metrics.f1_score(right, chosen, average="macro", zero_division=0)
    assert score_labels("macro_f1", chosen, right) == pytest.approx(expected)
    if len({*chosen, *right}) > 1:  # scikit-learn warns of a single label
        expected = sklearn_metrics.matthews_corrcoef(right, chosen)
        assert score_labels("matthews", chosen, right) == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted(TEXT_MEASURES))
@given(rows=pairs, seed=st.integers(0, 99))
def test_text_metrics_stay_in_range_in_any_order(name: str, rows: list[tuple[str, str]], seed: int) -> None:
    statistics = statistics_of(name, rows)
    found = corpus_score(MEASURES[name], statistics)
    assert METRICS[name].low <= found <= METRICS[name].high * (1 + 1e-12)
    assert corpus_score(MEASURES[name], np.random.default_rng(seed).permutation(statistics)) == found


@pytest.mark.parametrize("name", sorted(LABEL_MEASURES))
@given(rows=labelled, seed=st.integers(0, 99))
def test_label_metrics_stay_in_range_in_any_order(name: str, rows: list[tuple[int, int]], seed: int) -> None:
    statistics = np.array(rows, dtype=np.float64)
    found = corpus_score(MEASURES[name], statistics)
    assert METRICS[name].low <= found <= METRICS[name].high * (1 + 1e-12)
    assert corpus_score(MEASURES[name], np.random.default_rng(seed).permutation(statistics)) == found


@pytest.mark.parametrize("name", sorted(TEXT_MEASURES))
@given(answers=st.lists(texts, min_size=1, max_size=5))
def test_perfect_answers_get_the_highest_score(name: str, answers: list[str]) -> None:
    answers = [*answers, "five words are long enough"]
    assert score_texts(name, answers, answers) == pytest.approx(METRICS[name].high, abs=_unwordable(name, answers))


def _unwordable(name: str, answers: list[str]) -> float:
    """ROUGE gives 0 to a text without a word, equal or not."""
    return len(answers) - 1 if name == "rouge_l" else 1e-9


@pytest.mark.parametrize("name", sorted(LABEL_MEASURES))
@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_perfect_labels_get_the_highest_score(name: str, labels: list[int]) -> None:
    labels = [0, 1, *labels]
    assert score_labels(name, labels, labels) == pytest.approx(METRICS[name].high)
