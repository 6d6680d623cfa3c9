"""Proves that the model reads what a value means: numbers on comparable scales, absent parameters apart."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.engine.tree.features import ABSENT, Encoder

rates = st.floats(1e-5, 1.0)


def test_a_name_has_one_column_for_each_value_and_a_number_has_one():
    rows = [{"stage/0/optimizer": name, "stage/0/clip": clip} for name, clip in (("a", 1.0), ("b", 2.0))]
    assert sorted(map(tuple, Encoder(rows).encode(rows).tolist())) == [(0.0, 1.0, 0.0), (1.0, 0.0, 1.0)]


def test_a_parameter_that_does_not_exist_is_told_apart_from_all_its_values():
    rows = [{"stage/0/a": 0.0, "stage/0/b": 1.0}, {"stage/0/a": 1.0}]
    assert Encoder(rows).encode(rows)[1, 1] == ABSENT


def test_learning_rates_of_several_optimizers_share_a_column():
    rows = [
        {"stage/0/lr/adamw": 1e-3},
        {"stage/0/lr/adamw": 1e-2},
        {"stage/0/lr/sgd": 0.1},
        {"stage/0/lr/sgd": 1.0},
    ]
    assert Encoder(rows).encode(rows)[:, 0].tolist() == [0.0, 1.0, 0.0, 1.0]


def test_numbers_over_several_sizes_are_scaled_by_their_logarithm():
    rows = [{"stage/0/x": value} for value in (0.01, 0.1, 1.0)]
    np.testing.assert_allclose(Encoder(rows).encode(rows)[:, 0], [0.0, 0.5, 1.0], atol=1e-6)


def test_a_name_never_seen_is_none_of_those_seen():
    encoder = Encoder([{"stage/0/optimizer": "a"}])
    assert encoder.encode([{"stage/0/optimizer": "new"}]).tolist() == [[0.0]]


@given(st.lists(rates, min_size=2, max_size=8, unique=True))
def test_scaling_keeps_the_order_and_stays_between_0_and_1(values):
    rows = [{"stage/0/lr_relative": value} for value in sorted(values)]
    column = Encoder(rows).encode(rows)[:, 0]
    assert (np.diff(column) >= 0).all()
    assert column.min() == 0
    assert column.max() <= 1 + 1e-6
