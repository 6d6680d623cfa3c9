"""Proves that the searcher counts what is still to be trained as the stage store does: by grid segments."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mbo_search.engine.searcher.space_segments import space_segments
from mbo_search.engine.searcher.suggest import FixedSuggest
from mbo_search.engine.tree.candidates import complete_params
from mbo_search.engine.tree.history import History, TrialView, blocks_of
from mbo_search.engine.tree.prefix_cost import PrefixCosts, equal_segments
from mbo_search.study.files.study_file import parse_study
from mbo_search.study.space.parameters import choose
from mbo_search.study.space.space import parameters, propose, staged_space
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.segments import cut

TRUNK_STUDY = """
study: trunk
data: {source: [tiny]}
model: {layers: 1, width: 16, heads: 2, context: 16}
budget: {tokens: 20480, grid: 0.2}
train: {batch_tokens: 256}
stages:
  - {name: trunk, share: 0.8, optimizer: adamw, lr: {relative: [0.5, 1.0]}, lr_shape: constant}
  - name: cooldown
    share: rest
    optimizer: adamw
    lr: {relative: {low: 0.01, high: 1.0}}
    lr_shape: [linear, cosine]
"""

SHARES_STUDY = TRUNK_STUDY.replace("share: 0.8", "share: {low: 0.4, high: 0.8}")


NUMBERS = itertools.count()


def view(params, boundaries, *, is_running=False):
    return TrialView(
        number=next(NUMBERS),
        params=params,
        blocks=blocks_of(params, 2),
        loss=boundaries.get(1),
        boundaries=boundaries,
        is_running=is_running,
        is_infeasible=False,
        stop_after=None,
    )


def costs_of(text: str) -> PrefixCosts:
    return PrefixCosts(space_segments(staged_space(parse_study(text, "study.yaml"))), 2)


def cooldown(lr: float, **more: float) -> dict:
    return {"stage/0/lr_relative": 1.0, "stage/1/lr_relative": lr, "stage/1/lr_shape": "linear", **more}


def missing(prefix_costs: PrefixCosts, params: dict) -> float:
    return prefix_costs.cost(blocks_of(params, 2), params).missing


def test_one_trunk_with_sixteen_cooldowns_costs_a_quarter():
    prefix_costs, spent, trained = costs_of(TRUNK_STUDY), 0.0, []
    for number in range(16):
        params = cooldown(0.01 * (number + 1))
        prefix_costs.read(History(trained, 2))
        spent += missing(prefix_costs, params)
        trained.append(view(params, {0: 2.0, 1: 1.0}))
    assert spent == pytest.approx(0.8 + 16 * 0.2)
    assert spent / 16 == pytest.approx(0.25)


def test_a_longer_trunk_goes_through_the_ends_of_the_shorter_ones():
    prefix_costs = costs_of(SHARES_STUDY)
    long, short = cooldown(0.1, **{"stage/0/share": 0.8}), cooldown(0.1, **{"stage/0/share": 0.6})
    assert missing(prefix_costs, long) == pytest.approx(1.0)
    prefix_costs.read(History([view(long, {0: 2.0, 1: 1.0})], 2))
    assert missing(prefix_costs, long) == 0.0
    assert missing(prefix_costs, short) == pytest.approx(0.4)
    prefix_costs.read(History([view(short, {0: 2.0, 1: 1.0})], 2))
    assert missing(prefix_costs, cooldown(0.2, **{"stage/0/share": 0.8})) == pytest.approx(0.2)


def test_a_cooldown_depends_on_its_length_and_a_trunk_on_its_learning_rate():
    prefix_costs = costs_of(SHARES_STUDY)
    prefix_costs.read(History([view(cooldown(0.1, **{"stage/0/share": 0.4}), {0: 2.0, 1: 1.0})], 2))
    assert missing(prefix_costs, cooldown(0.1, **{"stage/0/share": 0.6})) == pytest.approx(0.6)
    other = cooldown(0.1, **{"stage/0/share": 0.4}) | {"stage/0/lr_relative": 0.5}
    assert missing(prefix_costs, other) == pytest.approx(1.0)


def test_what_a_trial_in_flight_produces_is_coming_and_not_free():
    prefix_costs = PrefixCosts(equal_segments(2), 2)
    running = {"stage/0/lr": 1.0, "stage/1/lr": 1.0}
    prefix_costs.read(History([view(running, {}, is_running=True)], 2))
    other = {"stage/0/lr": 1.0, "stage/1/lr": 2.0}
    assert prefix_costs.cost(blocks_of(other, 2), other).is_coming
    assert missing(prefix_costs, other) == pytest.approx(1.0)
    prefix_costs.read(History([view(running, {0: 2.0}, is_running=True)], 2))
    assert not prefix_costs.cost(blocks_of(other, 2), other).is_coming
    assert missing(prefix_costs, other) == pytest.approx(0.5)


def test_equal_segments_train_alike_bit_for_bit():
    text = SHARES_STUDY.replace("lr_shape: constant", "lr_shape: [constant, wsd, inv_sqrt, linear]")
    space = staged_space(parse_study(text, "study.yaml"))
    cut_point, rng, key_of = space_segments(space), np.random.default_rng(0), {}
    num_shared = 0
    for _ in range(60):
        params = complete_params(lambda suggest: choose(parameters(space), suggest), rng, {}, {})
        segments = cut(propose(space, FixedSuggest(params)), space.budget)
        identities = [identity for stage in cut_point(params) for identity, _ in stage]
        assert len(identities) == len(segments)
        for length, key in enumerate(segment_keys("root", segments), start=1):
            prefix = tuple(identities[:length])
            num_shared += prefix in key_of
            assert key_of.setdefault(prefix, key) == key
    assert num_shared > 30
