"""The documents' part of a variance agrees with formulas and with resampled documents, and shrinks as it should."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mbo_search.results.statistics.documents import DocumentDifferences, Parts, documents_part, satterthwaite
from mbo_search.results.statistics.paired import student_quantile
from mbo_search.results.statistics.sequential import (
    decide,
    level_of_look,
    mixture_quantile,
    sequential_test,
    spending_of,
    standard_errors,
)
from tests.results.simulated_differences import SD_NATS, crossed, sequential_of

FIRST = spending_of(1)
variances = st.floats(0, 1e3, allow_subnormal=False)


def test_documents_of_equal_length_count_like_a_plain_sample():
    nats = np.random.default_rng(0).normal(1.0, 3.0, (4, 30))
    documents = DocumentDifferences((100,) * 30, tuple(map(tuple, nats.tolist())))
    assert documents_part(documents, 4) == pytest.approx(np.var(nats.mean(axis=0) / 100, ddof=1) / 30)


def test_the_part_agrees_with_drawing_documents_anew():
    rng = np.random.default_rng(1)
    documents = crossed(rng, num_documents=200, document_sd=5 * SD_NATS, num_seeds=6)
    tokens, nats = np.array(documents.tokens), np.array(documents.nats).mean(axis=0)
    drawn = rng.integers(0, 200, (4000, 200))
    means = nats[drawn].sum(axis=1) / tokens[drawn].sum(axis=1)
    assert math.sqrt(documents_part(documents, 6)) == pytest.approx(means.std(), rel=0.05)


def test_only_the_seeds_so_far_are_used():
    documents = crossed(np.random.default_rng(2), num_seeds=9)
    first = DocumentDifferences(documents.tokens, documents.nats[:4])
    assert documents_part(documents, 4) == documents_part(first, 4)


def test_more_documents_shrink_their_part_and_more_seeds_do_not():
    documents = crossed(np.random.default_rng(3), document_sd=5 * SD_NATS, num_seeds=48)
    longer = DocumentDifferences(documents.tokens * 16, tuple(row * 16 for row in documents.nats))
    assert documents_part(longer, 6) == pytest.approx(documents_part(documents, 6) * 79 / (16 * 80 - 1))
    assert documents_part(documents, 48) == pytest.approx(documents_part(documents, 6), rel=0.1)


@given(variances, variances, st.integers(1, 60), st.integers(1, 500))
def test_freedom_lies_between_the_smaller_one_and_the_sum(seeds, documents, seeds_freedom, documents_freedom):
    parts = Parts(seeds, seeds_freedom, documents, documents_freedom)
    tolerance = 1e-9 * (seeds_freedom + documents_freedom)
    smaller = min(seeds_freedom, documents_freedom) if documents else seeds_freedom
    assert smaller - tolerance <= satterthwaite(parts) <= seeds_freedom + documents_freedom + tolerance


def test_freedom_equals_that_of_welch():
    one, other = np.random.default_rng(4).normal(0, (1, 3), (30, 2)).T[:, :12]
    parts = Parts(np.var(one, ddof=1) / 12, 11, np.var(other, ddof=1) / 12, 11)
    assert satterthwaite(parts) == pytest.approx(stats.ttest_ind(one, other, equal_var=False).df)


def test_a_planned_look_uses_both_parts_together():
    documents = crossed(np.random.default_rng(5), document_sd=5 * SD_NATS, num_seeds=6)
    test = sequential_of(documents, FIRST)
    half = student_quantile(level_of_look(6, FIRST.better), test.freedom)
    half *= math.hypot(test.seed_se_nats, test.document_se_nats)
    assert test.low_nats == pytest.approx(test.mean_nats - half)
    assert test.num_documents == 80


def test_between_the_planned_looks_both_parts_are_added():
    documents = crossed(np.random.default_rng(6), document_sd=SD_NATS, num_seeds=11, mean_nats=0.2)
    test = sequential_of(documents, FIRST)
    level = level_of_look(11, FIRST.better) / 2
    ends = []
    for count in range(7, 12):
        part = sequential_of(DocumentDifferences(documents.tokens, documents.nats[:count]), FIRST)
        half = (
            mixture_quantile(count, level) * part.seed_se_nats + student_quantile(level, 79) * part.document_se_nats
        )
        ends.append(part.mean_nats - half)
    first = sequential_of(DocumentDifferences(documents.tokens, documents.nats[:6]), FIRST).low_nats
    assert test.low_nats == pytest.approx(max(first, *ends))


def test_documents_only_widen_the_first_look():
    documents = crossed(np.random.default_rng(7), document_sd=5 * SD_NATS, num_seeds=6)
    both = sequential_of(documents, FIRST)
    alone = sequential_test(documents.seed_means, spending=FIRST)
    assert both.low_nats < alone.low_nats
    assert alone.high_nats < both.high_nats
    assert both.larger_part == "documents"
    assert standard_errors(both) > standard_errors(alone)


def test_few_documents_say_nothing_about_other_text():
    documents = crossed(np.random.default_rng(8), num_documents=19, num_seeds=6)
    test = sequential_of(documents, FIRST)
    assert test == sequential_test(documents.seed_means, spending=FIRST)
    assert (test.num_documents, test.document_se_nats) == (None, None)


def test_twenty_documents_are_enough():
    test = sequential_of(crossed(np.random.default_rng(8), num_documents=20, num_seeds=6), FIRST)
    assert test.num_documents == 20


def test_one_seed_says_nothing_about_documents_either():
    test = sequential_of(crossed(np.random.default_rng(9), num_seeds=1), FIRST)
    assert (test.num_documents, test.document_se_nats, test.larger_part, decide(test)) == (
        80,
        None,
        None,
        "undecided",
    )


def test_equal_losses_of_documents_are_known_to_be_equal():
    documents = DocumentDifferences((10,) * 25, ((0.0,) * 25,) * 6)
    test = sequential_of(documents, FIRST)
    assert (test.low_nats, test.high_nats, test.better_at) == (0.0, 0.0, None)


@pytest.mark.parametrize(
    ("tokens", "nats"), [((), ((),)), ((0, 5), ((0.1, 0.2),)), ((3, 5), ((0.1,),)), ((3,), ((math.nan,),))]
)
def test_documents_that_cannot_be_are_refused(tokens, nats):
    with pytest.raises(AssertionError):
        DocumentDifferences(tokens, nats)


def test_documents_of_other_seeds_are_refused():
    documents = crossed(np.random.default_rng(0), num_seeds=5)
    with pytest.raises(AssertionError):
        sequential_test([0.1, 0.2], documents=documents, spending=FIRST)


@given(st.integers(0, 2**32 - 1), st.integers(2, 14), st.floats(0, 0.1))
def test_the_estimate_always_lies_in_its_interval(seed, num_seeds, document_sd):
    rng = np.random.default_rng(seed)
    test = sequential_of(crossed(rng, num_documents=25, document_sd=document_sd, num_seeds=num_seeds), FIRST)
    assert test.low_nats is None or test.low_nats <= test.mean_nats
    assert test.high_nats is None or test.mean_nats <= test.high_nats


@pytest.mark.slow
def test_two_thousand_first_looks_cover_the_truth_about_other_documents():
    """The interval of the seeds alone does not: it is one for these documents."""
    rng = np.random.default_rng(10)
    both, alone = [], []
    for _ in range(2000):
        documents = crossed(rng, document_sd=5 * SD_NATS, num_seeds=6)
        for test, found in (
            (sequential_of(documents, FIRST), both),
            (sequential_test(documents.seed_means, spending=FIRST), alone),
        ):
            found.append(test.low_nats <= 0 <= test.high_nats)
    assert np.mean(both) >= 0.937
    assert np.mean(alone) < 0.9
