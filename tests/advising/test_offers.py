"""Proves what settings should offer next: parts go by their own evidence, and ranges go on where the best lie."""

from __future__ import annotations

import pytest

from mbo_search.advising.offers import new_offers
from mbo_search.study.space.parameters import Parameter
from mbo_search.study.spec.sections.values import Range
from tests.advising.world import told_of

OPTIMIZER = Parameter(name="stage/0/optimizer", choices=("good", "bad"))
COUPLED = Parameter(name="stage/0/hand_over", choices=("carry", "reset"))
OTHER = Parameter(name="stage/1/optimizer", choices=tuple("abcdefgh"))


def test_what_trials_died_of_is_blamed_on_one_setting():
    good = [
        ({OPTIMIZER.name: "good", COUPLED.name: "carry", OTHER.name: letter}, 0.001 * n)
        for n, letter in enumerate("abcdefgh")
    ]
    bad = [({OPTIMIZER.name: "bad", COUPLED.name: "reset", OTHER.name: letter}, 0.5) for letter in "abc"]
    mixed = [({OPTIMIZER.name: "bad", COUPLED.name: "carry", OTHER.name: letter}, 0.4) for letter in "de"]
    (offer,) = new_offers(told_of((OPTIMIZER, COUPLED, OTHER), [*good, *bad, *mixed]))
    assert (offer.parameter, offer.offer) == (OPTIMIZER, ("good",))
    assert "of 13 trials 5 used it" in offer.reasons[0].text()


def ends(parameter, best, others):
    near = [({parameter.name: best, OTHER.name: letter}, 0.001 * n) for n, letter in enumerate("abcdefgh")]
    far = [({parameter.name: other, OTHER.name: letter}, 0.5) for other in others for letter in "ab"]
    return told_of((parameter, OTHER), [*near, *far])


@pytest.mark.parametrize(
    ("parameter", "best", "others", "expected"),
    [
        (Parameter(name="lr", low=0.1, high=10.0, log=True), 9.0, (1.0, 0.2), Range(low=2.15, high=46.4)),
        (Parameter(name="lr", low=0.1, high=10.0, log=True), 0.11, (1.0, 5.0), Range(low=0.0215, high=0.464)),
        (Parameter(name="share", low=0.1, high=0.4, step=0.05), 0.4, (0.1, 0.2), Range(low=0.3, high=0.5)),
        (Parameter(name="share", choices=(0.3, 0.4, 0.5)), 0.5, (0.3, 0.4), (0.5, 0.6)),
        (Parameter(name="clip", choices=(0.1, 1.0, 10.0)), 0.1, (1.0, 10.0), (0.01, 0.1)),
    ],
)
def test_a_range_or_list_goes_on_at_the_end_where_the_best_lie(parameter, best, others, expected):
    (offer,) = new_offers(ends(parameter, best, others))
    assert offer.offer == expected
    assert "extended to" in offer.reasons[-1].text()


def test_nothing_lies_below_zero():
    dropout = Parameter(name="dropout", low=0.0, high=0.3)
    (offer,) = new_offers(ends(dropout, 0.01, (0.15, 0.29)))
    assert offer.offer == Range(low=0.0, high=0.1)


def test_trials_without_differences_change_nothing():
    told = told_of(
        (OPTIMIZER, OTHER),
        [({OPTIMIZER.name: one, OTHER.name: two}, 0.0) for one in ("good", "bad") for two in "abcdefgh"],
    )
    assert new_offers(told) == ()
