"""Whatever speaks against a yes is found where it is, and only there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.results.evidence.champions import champions
from mbo_search.results.evidence.ladder import FEWEST_TRIALS
from mbo_search.results.evidence.objections import EDGE, edges_of, late_gain, objections
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.schedule_groups import group_by_schedule
from mbo_search.study.space.parameters import Parameter
from mbo_search.trial.cost import Cost
from tests.results.ladders import SEARCH, info_of, schedule_of, searched

RATE = Parameter(name="stage/0/lr_relative", low=0.25, high=4.0, log=True)
DECAY = Parameter(name="stage/0/weight_decay", low=0.1, high=0.5)


def against(records, gain_nats=0.1, **fields):
    return objections(champions(group_by_schedule(records)), records, info_of(**fields), gain_nats)


def test_nothing_speaks_against_equal_efforts_that_have_come_to_an_end():
    assert against(SEARCH, charges={"staged": 1000, "opponents": 1000}, schedule_tokens=100) == ()


@pytest.mark.parametrize(
    ("own", "theirs", "is_unequal"),
    [(1000, 800, False), (1000, 799, True), (10_000, 9000, False), (10_000, 8999, True), (1000, 5000, False)],
)
def test_opponents_may_be_behind_by_two_schedules_or_a_tenth(own, theirs, is_unequal):
    found = against(SEARCH, charges={"staged": own, "opponents": theirs}, schedule_tokens=100)
    assert any("only equal efforts can be compared" in line for line in found) == is_unequal


def test_opponents_need_three_complete_trials_for_each_optimizer():
    enough = [searched(10 + number, "tuned", 4.0, lr=0.2 + number / 100) for number in range(2 * FEWEST_TRIALS - 3)]
    assert against([*SEARCH, *enough], optimizers=("adamw", "muon")) == ()
    (line,) = against([*SEARCH, *enough[1:]], optimizers=("adamw", "muon"))
    assert line.startswith(f"the opponents had {2 * FEWEST_TRIALS - 1} trials for 2 optimizers")
    diverged = TrialRecord(
        trial=90, arm="tuned", seed=0, schedule=schedule_of("tuned", 9.0), state="pruned", reason="non_finite"
    )
    assert against([*SEARCH, *enough[1:], diverged], optimizers=("adamw", "muon")) == (line,)
    own = searched(90, "tuned", 4.0, lr=0.9, arm="staged")
    assert against([*SEARCH, *enough[1:], own], optimizers=("adamw", "muon")) == (line,)


def improving(*losses):
    return [
        searched(10 + number, "tuned", loss, lr=0.2 + number / 100, executed_tokens=100)
        for number, loss in enumerate(losses)
    ]


def test_opponents_that_still_improve_by_more_than_the_claim_are_not_done():
    records = [*SEARCH[:1], SEARCH[4], *improving(3.5, 3.45, 3.3, 3.25)]
    (line,) = against(records, 0.1)
    assert "the opponents still gained 18 % in the last half of their tokens" in line
    assert "9.5 % that would be claimed" in line
    assert against(records, 0.3) == ()
    assert against(records, -0.1) == ()


def test_a_late_gain_counts_tokens_and_not_trials():
    cheap = [one.model_copy(update={"cost": Cost(executed_tokens=1)}) for one in improving(3.5, 3.4, 3.3)]
    costly = improving(3.5, 3.4, 3.3, 3.2)[3].model_copy(update={"cost": Cost(executed_tokens=100)})
    assert late_gain([*cheap, costly]) == pytest.approx(0.1)
    assert late_gain(improving(3.5, 3.4, 3.3, 3.2)) == pytest.approx(0.2)
    assert late_gain(improving(3.2, 3.3, 3.4, 3.5)) == 0.0
    assert late_gain([]) is None
    assert late_gain(improving(3.5)) is None


def at(name, value, **fields):
    return searched(10, "switch", 2.0, lr=0.4, params={name: value}, **fields)


@pytest.mark.parametrize(
    ("parameter", "value", "end"),
    [
        (RATE, 1.0, None),
        (RATE, 0.25, "lower"),
        (RATE, 0.285, "lower"),  # 0.25 * 16 ** 0.047
        (RATE, 0.29, None),  # 0.25 * 16 ** 0.0535; on a linear scale it would be at 0.011
        (RATE, 3.4, None),
        (RATE, 3.6, "upper"),
        (DECAY, 0.3, None),
        (DECAY, 0.119, "lower"),
        (DECAY, 0.121, None),
        (DECAY, 0.479, None),
        (DECAY, 0.481, "upper"),
    ],
)
def test_edges_are_twentieths_of_the_range_on_its_own_scale(parameter, value, end):
    record = at(parameter.name, value)
    found = against([*SEARCH, record], searched={"staged": (parameter,)})
    assert found == against([*SEARCH, record], searched={"staged": (RATE, DECAY)})
    assert [f"the {end} edge" in line for line in found] == ([] if end is None else [True])


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        (Parameter(name="stage/0/share", low=0.1, high=0.9, step=0.1), 0.1),
        (Parameter(name="stage/0/lr", choices=(0.1, 0.2)), 0.1),
        (Parameter(name="stage/0/optimizer", choices=("adamw", "muon")), "adamw"),
        (Parameter(name="stage/0/regularizers/dropout/dropout", low=0.0, high=0.2), 0.0),
    ],
    ids=["a grid", "numbers to choose from", "names", "nothing lies below 0"],
)
def test_what_cannot_be_extended_has_no_edge(parameter, value):
    assert against([*SEARCH, at(parameter.name, value)], searched={"staged": (parameter,)}) == ()


def test_edges_of_opponents_count_too_in_the_space_of_their_own_search():
    record = searched(10, "shape", 2.9, lr=0.4, params={RATE.name: 4.0})
    assert len(against([*SEARCH, record], searched={"shape": (RATE,)})) == 1
    assert against([*SEARCH, record], searched={"staged": (RATE,)}) == ()


@given(st.floats(0.01, 1.0), st.floats(1.2, 100), st.floats(0, 1), st.booleans())
def test_a_value_has_an_edge_exactly_where_its_place_is_outside_of_the_middle(low, factor, place, log):
    high = low * factor
    value = low * factor**place if log else low + place * (high - low)
    parameter = Parameter(name="x", low=low, high=high, log=log)
    (runs,) = group_by_schedule([at("x", value)])
    found = list(edges_of(runs, info_of(searched={"staged": (parameter,)})))
    if abs(place - EDGE) > 1e-6 and abs(place - 1 + EDGE) > 1e-6:
        assert bool(found) == (not EDGE < place < 1 - EDGE)


def test_opponents_that_have_tried_everything_are_not_called_weak():
    starved = {"staged": 900_000, "opponents": 100_000}
    tried = [searched(10 + n, "tuned", 4.0, lr=0.2 + n / 100, params={"stage/0/lr_shape": n}) for n in range(2)]
    records = [one for one in SEARCH if one.arm != "tuned"] + tried
    assert against(records, charges=starved, sizes={"tuned": 3}) != ()
    assert against(records, charges=starved, sizes={"tuned": 2}) == ()
    assert against(records, charges=starved, sizes={"tuned": 2, "line": None}) != ()
