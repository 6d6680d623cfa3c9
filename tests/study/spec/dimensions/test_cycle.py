"""Proves that blocks in turn are in keys exactly as far as they act: what rests at which step, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbo_search.model.blocks import block_of, layer_of
from mbo_search.study.spec.dimensions.block_sets import meet, names_cell
from mbo_search.study.spec.dimensions.cycle import BlockCycle
from mbo_search.study.spec.effective import stages_in_force
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.rungs import rung_of
from mbo_search.study.spec.schedule import BLOCK_KINDS, LORA, Schedule
from mbo_search.study.spec.segments import BudgetSteps, cut
from tests.study.builders import schedule, stage

BUDGET = BudgetSteps(num_segments=6, steps_per_segment=2, batch_tokens=10)

NAMES = [
    "model.embed_tokens.weight",
    "model.norm.weight",
    *(
        f"model.layers.{layer}.{name}"
        for layer in range(4)
        for name in ("self_attn.q_proj.weight", "mlp.up.weight", "norm.weight", "mlp.up.lora_A.default.weight")
    ),
]
"""Parameters of a model with more layers than any expression here names."""

PARTS = [*BLOCK_KINDS, "layers:0-0", "layers:1-2", "layers:0-2", "layers:2-2"]
blocks = st.lists(st.sampled_from(PARTS), min_size=1, max_size=2, unique=True).map("+".join)
cycles = st.none() | st.builds(
    BlockCycle,
    blocks=st.lists(blocks, min_size=2, max_size=3, unique=True).map(tuple),
    tokens=st.sampled_from([10, 15, 20, 40, 200]),
    mode=st.sampled_from(["turns", "turns", "thaw", "freeze"]),
)


def named(expression: str) -> frozenset[str]:
    return frozenset(name for name in NAMES if names_cell(expression, block_of(name), layer_of(name)))


def learning(trainable: str, cycle: BlockCycle | None, step: int) -> frozenset[str]:
    """The parameters that learn at a step, one by one."""
    if cycle is None:
        return named(trainable)
    own = [named(block) for block in cycle.blocks]
    active = frozenset().union(*(own[index] for index in cycle.learning(step * BUDGET.batch_tokens)))
    return named(trainable) - (frozenset().union(*own) - active)


def keys(*stages):
    return segment_keys("0" * 64, cut(schedule(*stages), BUDGET))


@settings(max_examples=150)
@given(st.sampled_from(["all", "attention+mlp", "layers:0-1", "norms+layers:1-2"]), cycles, cycles)
def test_keys_are_equal_exactly_as_far_as_the_same_parameters_learn(trainable, one, other):
    found, expected = (keys(stage(trainable=trainable, cycle=cycle)) for cycle in (one, other))
    same = [
        learning(trainable, one, step) == learning(trainable, other, step) for step in range(BUDGET.total_steps)
    ]
    for index in range(BUDGET.num_segments):
        end = (index + 1) * BUDGET.steps_per_segment
        assert (found[index] == expected[index]) == all(same[:end])


@given(blocks, blocks)
def test_two_expressions_meet_where_a_parameter_has_both_names(one, other):
    assert meet(one, other) == bool(named(one) & named(other))


def test_every_kind_of_block_is_compared():
    for kind in (*BLOCK_KINDS, LORA):
        assert meet(kind, "all"), kind


def test_a_stage_goes_on_with_the_same_optimizer_where_only_its_blocks_in_turn_change():
    turns = BlockCycle(blocks=("mlp", "attention"), tokens=20)
    segments = cut(schedule(stage("a", 0.5), stage("b", 0.5, hand_over="carry", cycle=turns)), BUDGET)
    assert segments[3].hand_over == "continue"
    assert keys(stage("a", 0.5), stage("b", 0.5, hand_over="carry", cycle=turns))[:3] == keys(stage("a"))[:3]


def test_turns_begin_anew_with_the_stage():
    turns = BlockCycle(blocks=("mlp", "attention"), tokens=40)
    segments = cut(schedule(stage("a", 0.5, cycle=turns), stage("b", 0.5, cycle=turns, hand_over="carry")), BUDGET)
    found = [
        segment.learning_blocks(step)
        for segment in segments
        for step in range(segment.first_step, segment.last_step)
    ]
    assert found == [(0,), (0,), (0,), (0,), (1,), (1,)] * 2


def test_the_order_within_a_block_is_no_other_setting_but_the_order_of_the_blocks_is():
    plain = stage("a", 0.5, cycle=BlockCycle(blocks=("mlp+norms", "attention"), tokens=20))
    same = stage("b", 0.5, hand_over="carry", cycle=BlockCycle(blocks=("norms + mlp", "attention"), tokens=20))
    swapped = stage("b", 0.5, hand_over="carry", cycle=BlockCycle(blocks=("attention", "mlp+norms"), tokens=20))
    first, second = stages_in_force((plain, same))
    assert first.cycle == second.cycle
    assert rung_of(schedule(plain, same)) == "tuned"
    assert rung_of(schedule(plain, swapped)) == "settings"
    assert rung_of(schedule(plain, stage("b", 0.5, hand_over="carry"))) == "settings"


def test_nothing_is_written_where_nothing_is_set_and_what_is_set_reads_back():
    assert "cycle" not in schedule(stage()).model_dump(mode="json")["stages"][0]
    one = schedule(stage(cycle=BlockCycle(blocks=("mlp", "attention"), tokens=20, mode="thaw")))
    assert Schedule.model_validate_json(one.model_dump_json()) == one


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("turns", [(0,), (1,), (2,), (0,), (1,)]),
        ("thaw", [(0,), (0, 1), (0, 1, 2), (0, 1, 2), (0, 1, 2)]),
        ("freeze", [(0, 1, 2), (1, 2), (2,), (2,), (2,)]),
    ],
)
def test_every_mode_follows_its_turns(mode, expected):
    cycle = BlockCycle(blocks=("mlp", "attention", "norms"), tokens=7, mode=mode)
    assert [cycle.learning(7 * turn + 3) for turn in range(5)] == expected
