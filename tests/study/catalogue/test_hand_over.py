"""Proves that the hand-over table covers the catalogue and keeps its promises about steps and second moments."""

from __future__ import annotations

import itertools

import pytest

from mbo_search.study.catalogue.hand_over import (
    can_carry,
    carries_second_moments,
    hand_over_row,
    hand_over_table,
)
from mbo_search.study.catalogue.optimizers import OPTIMIZERS

ADAM_LIKE = ("adam", "adamw", "nadamw")
HAND_OVER_TABLE = hand_over_table(OPTIMIZERS)
PAIRS = list(itertools.product(OPTIMIZERS, repeat=2))


def test_every_optimizer_hands_over_to_itself_whole():
    for name in OPTIMIZERS:
        row = hand_over_row(name, name)
        assert row is not None
        assert row.everything
        assert row.second_moments


def test_only_known_optimizers_appear():
    assert {name for pair in HAND_OVER_TABLE for name in pair} == set(OPTIMIZERS)


SECOND_MOMENTS = {"exp_avg_sq", "row_var"}
"""Slots for them, whole or by rows and columns."""


def test_adam_like_optimizers_carry_to_all_and_from_those_whose_moments_can_be_told():
    for name in set(OPTIMIZERS) - {*ADAM_LIKE}:
        for adam in ADAM_LIKE:
            assert can_carry(adam, name)
            assert can_carry(name, adam) == (name not in ("adafactor", "ademamix"))


def test_other_pairs_can_only_be_reset_but_for_both_kinds_of_muon():
    for previous, following in PAIRS:
        if previous != following and not {previous, following} & set(ADAM_LIKE):
            assert can_carry(previous, following) == ({previous, following} == {"muon", "muonh"})


@pytest.mark.parametrize(("previous", "row"), HAND_OVER_TABLE.items(), ids=lambda value: str(value)[:40])
def test_the_step_travels_only_with_second_moments(previous, row):
    targets = {slot.target for slot in row.carried}
    assert "step" not in targets or SECOND_MOMENTS & targets


@pytest.mark.parametrize(("previous", "following"), PAIRS)
def test_second_moments_arrive_only_where_they_are_carried_or_not_needed(previous, following):
    row = hand_over_row(previous, following)
    if row is None:
        assert not carries_second_moments(previous, following)
    elif carries_second_moments(previous, following):
        keeps_none = not OPTIMIZERS[following].second_moments or OPTIMIZERS[following].family == "muon"
        assert row.everything or keeps_none or SECOND_MOMENTS & {slot.target for slot in row.carried}


def test_sums_of_gradients_never_pass_for_means():
    to_sgd, from_sgd = hand_over_row("adamw", "sgd_nesterov"), hand_over_row("sgd_nesterov", "adamw")
    assert "copy" not in {slot.conversion for slot in to_sgd.carried}
    assert "copy" not in {slot.conversion for slot in from_sgd.carried}
