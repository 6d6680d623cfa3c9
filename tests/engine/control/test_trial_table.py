"""A side is charged for what its schedules would have cost if nobody else had trained anything, in any order."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.engine.control.trial_table import TrialTable
from mbo_search.engine.tasks import PathNode, TrialTask
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.schedule import Schedule, Stage

SCHEDULE = Schedule(stages=(Stage(name="a", share=1.0, optimizer="adamw", lr=0.1),))


def task(trial, arm, *keys, step=100, stop_after=None):
    """A task whose nodes lie 100 tokens apart; a key names all that was trained up to it."""
    nodes = tuple(
        PathNode(key="/".join(keys[: index + 1]), tokens=step * (index + 1)) for index in range(len(keys))
    )
    return TrialTask(trial=trial, arm=arm, seed=0, schedule=SCHEDULE, nodes=nodes, stop_after=stop_after)


def record(of, *, state="complete", requested=None, wasted=0):
    tokens = of.tokens if requested is None else requested
    return TrialRecord(
        trial=of.trial,
        arm=of.arm,
        seed=0,
        schedule=SCHEDULE,
        state=state,
        reason=None if state == "complete" else "non_finite",
        val_loss=3.0 if state == "complete" else None,
        requested_tokens=tokens,
        wasted_tokens=wasted,
    )


def books_of(tasks, records=()):
    books, cached = TrialTable(), set()
    ended = {one.trial: one for one in records}
    for one in tasks:
        books.begin(one, cached.__contains__)
        cached.update(node.key for node in one.nodes)
        if one.trial in ended:
            books.end(one, ended[one.trial])
    return books


def complete(tasks):
    return books_of(tasks, [record(one) for one in tasks])


def test_what_both_sides_pass_is_charged_to_both():
    books = complete([task(0, "staged", "a", "b"), task(1, "tuned", "a", "c")])
    assert books.charged_tokens(("staged",)) == 200
    assert books.charged_tokens(("tuned",)) == 200
    assert books.charged_tokens(("staged", "tuned")) == 300


def test_what_one_side_passes_twice_is_charged_once():
    books = complete([task(0, "staged", "a", "b"), task(1, "staged", "a", "c"), task(2, "staged", "a", "b")])
    assert books.charged_tokens(("staged",)) == 300


def test_a_result_that_was_known_is_charged_as_if_it_had_been_trained():
    books = complete([task(0, "baseline", "x"), task(1, "tuned", "x")])
    assert books.charged_tokens(("tuned",)) == books.charged_tokens(("baseline",)) == 100


def test_searches_of_one_side_that_meet_are_charged_alone_and_together():
    books = complete([task(0, "tuned", "a", "b"), task(1, "line", "a", "b"), task(2, "shape", "a", "c")])
    alone = [books.charged_tokens((arm,)) for arm in ("tuned", "line", "shape")]
    assert (alone, books.charged_tokens(("tuned", "line", "shape"))) == ([200, 200, 200], 300)


def test_an_open_trial_is_charged_to_its_end_and_one_that_diverged_to_where_it_came():
    diverged = task(1, "staged", "a", "c", "d")
    books = books_of([task(0, "staged", "a", "b"), diverged], [record(diverged, state="pruned", requested=150)])
    assert books.charged_tokens(("staged",)) == 200 + 50


def test_a_trial_that_diverged_before_its_first_state_shares_nothing():
    first, second = task(0, "staged", "a", "b"), task(1, "staged", "a", "c")
    books = books_of([first, second], [record(first, state="pruned", requested=60), record(second)])
    assert books.charged_tokens(("staged",)) == 60 + 200


def test_a_probe_is_charged_to_the_stage_behind_which_it_ends():
    books = complete([task(0, "staged", "a", stop_after=0), task(1, "staged", "a", "b")])
    assert books.charged_tokens(("staged",)) == 200
    assert books.num_search_trials() == 1


def test_lost_work_is_charged_to_whoever_lost_it():
    mine, theirs = task(0, "staged", "a"), task(1, "tuned", "a")
    books = books_of([mine, theirs], [record(mine, wasted=70), record(theirs)])
    assert (books.charged_tokens(("staged",)), books.charged_tokens(("tuned",))) == (170, 100)


def test_confirm_runs_are_charged_to_no_side():
    books = complete([task(0, "staged", "a"), task(1, "confirm", "z")])
    assert books.charged_tokens(("staged", "tuned")) == 100


def test_a_charge_follows_what_happens():
    one = task(0, "staged", "a", "b")
    books = TrialTable()
    assert books.charged_tokens(("staged",)) == 0
    books.begin(one, lambda key: False)
    assert books.charged_tokens(("staged",)) == 200
    books.end(one, record(one, state="failed", requested=30))
    assert books.charged_tokens(("staged",)) == 30


PATHS = st.lists(
    st.tuples(
        st.sampled_from(["staged", "tuned", "shape", "baseline"]),
        st.lists(st.sampled_from("ab"), min_size=1, max_size=3),
        st.integers(0, 3),
        st.sampled_from([0, 0, 25]),
    ),
    max_size=10,
)


@given(PATHS, st.randoms(use_true_random=False))
def test_charges_do_not_depend_on_the_order_and_are_those_of_a_search_of_its_own(drawn, shuffler: random.Random):
    """Each search alone, without the others' trials, would have trained exactly what it is charged with."""

    def charged(rows, arms):
        tasks = [task(trial, arm, *keys) for trial, (arm, keys, _, _) in enumerate(rows)]
        ends = [record(one, wasted=row[3]) for one, row in zip(tasks, rows, strict=True)]
        return books_of(tasks, ends).charged_tokens(arms)

    shuffled = list(drawn)
    shuffler.shuffle(shuffled)
    for arms in (("staged",), ("tuned",), ("tuned", "shape")):
        own = [row for row in drawn if row[0] in arms]
        states = {tuple(keys[: index + 1]) for _, keys, _, _ in own for index in range(len(keys))}
        wanted = 100 * len(states) + sum(row[3] for row in own)
        assert charged(drawn, arms) == charged(shuffled, arms) == charged(own, arms) == wanted


@given(PATHS)
def test_sides_together_cost_at_most_what_they_cost_alone_and_at_least_the_dearest(drawn):
    books = complete([task(trial, arm, *keys) for trial, (arm, keys, _, _) in enumerate(drawn)])
    arms = ("staged", "tuned", "shape")
    alone = [books.charged_tokens((arm,)) for arm in arms]
    together = books.charged_tokens(arms)
    assert max(alone) <= together <= sum(alone)


@pytest.mark.parametrize("arms", list(itertools.permutations(("tuned", "line", "shape"))))
def test_the_order_in_which_searches_are_named_does_not_matter(arms):
    books = complete([task(0, "tuned", "a", "b"), task(1, "line", "a"), task(2, "shape", "a", "c", "d")])
    assert books.charged_tokens(arms) == 400
