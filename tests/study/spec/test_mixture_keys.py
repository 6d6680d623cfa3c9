"""Proves that schedules share as long as every step reads the same shares, and not a segment further."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.segments import cut
from tests.study.builders import BUDGET, schedule, stage

MIXTURES = st.none() | st.fixed_dictionaries(
    {}, optional={name: st.sampled_from([0.0, 1.0, 2.0, 4.0]) for name in ("docs", "qa", "code")}
).filter(lambda found: sum(found.values()) > 0)


@st.composite
def mixed(draw):
    """A schedule whose stages differ in their mixtures alone."""
    counts = draw(st.sampled_from([(20,), (8, 12), (12, 8), (4, 8, 8)]))
    settings = [
        {"mixture": draw(MIXTURES)} | ({"hand_over": "carry"} if index else {}) for index in range(len(counts))
    ]
    return schedule(*(stage(f"s{i}", n / 20, **settings[i]) for i, n in enumerate(counts)))


def shares_by_step(found):
    """What each source gets in each step, as exact fractions would have it."""
    for segment in cut(found, BUDGET):
        mixture = next(one.mixture for one in found.stages if one.name == segment.stage.name)
        total = sum(mixture.values()) if mixture else 1
        shares = mixture and {name: weight / total for name, weight in sorted(mixture.items()) if weight}
        yield from [shares] * segment.num_steps


@settings(max_examples=40)
@given(mixed(), mixed())
def test_keys_are_equal_exactly_as_long_as_all_steps_so_far_read_the_same_shares(one, other):
    keys, others = (segment_keys("0" * 64, cut(found, BUDGET)) for found in (one, other))
    steps = list(zip(shares_by_step(one), shares_by_step(other), strict=True))
    for index, (key, its) in enumerate(zip(keys, others, strict=True)):
        alike = all(first == second for first, second in steps[: (index + 1) * BUDGET.steps_per_segment])
        assert (key == its) == alike
