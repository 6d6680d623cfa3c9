"""Proves that a schedule is cut into whole grid segments that account for every step and token."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mbo_search.errors import StudyError
from mbo_search.study.spec.segments import BudgetSteps, cut, resolve_budget
from tests.study.builders import BUDGET, lr_shape, schedule, stage


def shares(num_segments=20):
    """Shares of one to four stages that fill the grid."""
    return st.lists(st.integers(1, num_segments), min_size=0, max_size=3, unique=True).map(
        lambda cuts: [
            (high - low) / num_segments
            for low, high in zip(
                [0, *sorted({c for c in cuts if c < num_segments})],
                [*sorted({c for c in cuts if c < num_segments}), num_segments],
                strict=True,
            )
        ]
    )


@given(shares())
def test_segments_cover_every_step_of_the_budget_once(stage_shares):
    segments = cut(schedule(*(stage(name=f"s{i}", share=s) for i, s in enumerate(stage_shares))), BUDGET)
    assert [step for s in segments for step in range(s.first_step, s.last_step)] == list(range(200))
    assert sum(segment.tokens for segment in segments) == BUDGET.total_tokens


@given(shares())
def test_stages_begin_and_end_where_their_shares_say(stage_shares):
    segments = cut(schedule(*(stage(name=f"s{i}", share=s) for i, s in enumerate(stage_shares))), BUDGET)
    ends = [segment.last_step for segment in segments if segment.ends_stage]
    total = 0.0
    for share, end in zip(stage_shares, ends, strict=True):
        total += share
        assert end == round(total * BUDGET.total_steps)


@given(st.integers(1, 10**7), st.sampled_from([0.05, 0.1, 0.25, 1 / 3, 1.0]), st.integers(1, 4096))
def test_a_budget_is_rounded_down_by_less_than_a_step_per_segment(tokens, grid, batch_tokens):
    assume(tokens >= round(1 / grid) * batch_tokens)
    budget = resolve_budget(tokens, grid, batch_tokens)
    assert 0 <= tokens - budget.total_tokens < budget.num_segments * batch_tokens


def test_a_budget_below_a_step_per_segment_says_how_much_is_needed():
    with pytest.raises(StudyError, match="at least 20480 tokens"):
        resolve_budget(20_479, 0.05, 1024)


@pytest.mark.parametrize("stage_shares", [(0.5, 0.4), (0.52, 0.48), (1.0, 0.05), (0.5, 0.5, 0.5)])
def test_shares_that_do_not_fill_the_grid_are_refused(stage_shares):
    with pytest.raises(StudyError, match=r"multiples of 0\.05 that sum to 1"):
        cut(schedule(*(stage(name=str(i), share=s) for i, s in enumerate(stage_shares))), BUDGET)


def test_a_warm_up_that_fills_its_stage_is_refused():
    with pytest.raises(StudyError, match="is 10 steps; it must be shorter than its stage of 10 steps"):
        cut(schedule(stage("a", 0.05, warmup=0.05), stage("b", 0.95)), BUDGET)


def test_the_learning_rate_of_a_segment_is_the_peak_times_the_shape():
    first, second = stage("a", 0.5, lr=2e-3), stage("b", 0.5, lr=1e-3, lr_shape=lr_shape("linear"), warmup=0.1)
    segments = cut(schedule(first, second), BUDGET)
    lrs = [segment.lr(step) for segment in segments for step in range(segment.first_step, segment.last_step)]
    assert lrs[:100] == [2e-3] * 100
    assert lrs[100:120] == pytest.approx([1e-3 * (i + 1) / 20 for i in range(20)])
    assert lrs[120:] == pytest.approx([1e-3 * (1 - i / 80) for i in range(80)])


def test_hand_over_happens_only_where_a_stage_begins():
    segments = cut(schedule(stage("a", 0.5), stage("b", 0.5, optimizer="muon", hand_over="carry")), BUDGET)
    assert [s.hand_over for s in segments] == ["start"] + ["continue"] * 9 + ["carry"] + ["continue"] * 9


@pytest.mark.parametrize(
    ("hand_over", "settings", "effective"),
    [
        ("carry", {}, "continue"),
        ("carry", {"lr": 5e-3, "weight_decay": 0.3}, "continue"),
        ("carry", {"hparams": {"beta1": 0.9, "beta2": 0.99}}, "carry"),
        ("carry", {"trainable": "norms"}, "carry"),
        ("reset", {}, "reset"),
    ],
)
def test_carrying_an_unchanged_optimizer_is_no_hand_over_at_all(hand_over, settings, effective):
    segments = cut(schedule(stage("a", 0.5), stage("b", 0.5, hand_over=hand_over, **settings)), BUDGET)
    assert segments[10].hand_over == effective


def test_budgets_multiply_out():
    budget = BudgetSteps(num_segments=20, steps_per_segment=19, batch_tokens=1024)
    assert (budget.total_steps, budget.total_tokens, budget.segment_tokens) == (380, 389_120, 19_456)
