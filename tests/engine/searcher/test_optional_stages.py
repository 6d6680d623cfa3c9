"""Proves that searchers deal with stages that may be left out: what they cost, end after, and start with."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbo_search.engine.searcher.initial_points import initial_points, points_near
from mbo_search.engine.searcher.optuna_searcher import OptunaSearcher, quiet_study
from mbo_search.engine.searcher.samplers import random_sampler
from mbo_search.engine.searcher.searches import space_of_search
from mbo_search.engine.searcher.space_segments import space_segments, trained_stages
from mbo_search.engine.searcher.suggest import draw
from mbo_search.engine.tasks import PathNode, TrialTask
from mbo_search.study.space.ladder import search_spaces
from mbo_search.study.space.space import propose
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.sections.choices import LrShapeChoice
from mbo_search.study.spec.sections.searching import SearchSpec
from mbo_search.study.spec.sections.stages import AtMostSpec
from mbo_search.study.spec.sections.values import Range
from mbo_search.study.spec.segments import cut
from mbo_search.testing.records import make_record
from mbo_search.trial.outcome import Boundary
from tests.helpers.suggest import RandomSuggest
from tests.study.builders import optimizers, stage_space, study

LINEAR = LrShapeChoice(kind="linear")
WSD = LrShapeChoice(kind="wsd", hparams={"decay": (0.5, 1.0)})


@functools.cache
def spaces(limit=None):
    """Few settings, so that schedules often meet."""
    common = {"optimizer": optimizers("adamw", "lion"), "lr": (1e-3, 2e-3)}
    later = {**common, "hand_over": ("carry", "reset")}
    return search_spaces(
        study(
            stage_space("a", Range(low=0.0, high=0.1), **common),
            stage_space("b", (0.0, 0.05), **later),
            stage_space("cool", **later, lr_shape=(LINEAR, WSD)),
            at_most=AtMostSpec(optimizer_changes=limit),
        )
    )


def drawn(space, seed):
    source = RandomSuggest(seed)
    schedule = propose(space, source)
    return schedule, source.asked


def chain(space, asked):
    return [one for stage in space_segments(space)(asked) for one in stage]


@pytest.mark.parametrize("name", ["staged", "shape", "settings"])
@settings(max_examples=20)
@given(st.tuples(st.integers(0, 2**32), st.integers(0, 2**32)), st.sampled_from([None, 1]))
def test_segments_are_told_apart_exactly_as_far_as_they_train_differently(name, seeds, limit):
    space = spaces(limit)[name]
    (one, asked), (other, others) = (drawn(space, seed) for seed in seeds)
    keys = [segment_keys("", cut(schedule, space.budget)) for schedule in (one, other)]
    chains = [chain(space, values) for values in (asked, others)]
    assert len(chains[0]) == space.budget.num_segments
    shared = sum(mine == theirs for mine, theirs in zip(*keys, strict=True))
    alike = next(
        (index for index, pair in enumerate(zip(*chains, strict=True)) if pair[0] != pair[1]), len(keys[0])
    )
    assert alike <= shared, "what is taken for the same trains alike"


def test_one_schedule_in_two_descriptions_costs_nothing_the_second_time():
    space = spaces()["staged"]
    common = {"optimizer": "adamw", "lr/adamw": 1e-3, "lr_shape": "linear"}
    last = {f"stage/2/{name}": value for name, value in {**common, "hand_over": "carry"}.items()}
    as_first = {"stage/0/share": 0.05, "stage/0/optimizer": "lion", "stage/0/lr/lion": 1e-3, "stage/1/share": 0.0}
    as_second = {"stage/0/share": 0.0, "stage/1/share": 0.05, "stage/1/optimizer": "lion", "stage/1/lr/lion": 1e-3}
    chains = [chain(space, {**own, **last}) for own in (as_first, as_second)]
    assert chains[0] == chains[1]
    assert [trained_stages(space)({**own, **last}) for own in (as_first, as_second)] == [(0, 2), (1, 2)]


def test_initial_points_train_every_stage_and_points_near_a_schedule_have_its_stages():
    space = spaces()["staged"]
    assert {len(point.schedule.stages) for point in initial_points(space)} == {3}
    for seed in range(20):
        schedule, _ = drawn(space, seed)
        assert schedule in [point.schedule for point in points_near(space, schedule)]


def test_a_strategy_without_stages_is_written_in_those_that_are_left():
    single = propose(spaces()["tuned"], RandomSuggest(1))
    assert points_near(spaces()["shape"], single)
    point = draw(functools.partial(propose, spaces()["shape"]), RandomSuggest(3))
    near = points_near(spaces()["shape"], point.schedule)
    assert point.schedule in [one.schedule for one in near]


def settled(trial, proposal):
    """A task of a proposal, and what became of it: losses that depend on the schedule alone."""
    schedule, losses = proposal.schedule, [4.0]
    for stage in schedule.stages:
        losses.append(losses[-1] - stage.share * (1.5 if stage.optimizer == "lion" else 1.0) * stage.lr * 1e3)
    end = len(schedule.stages) if proposal.stop_after is None else proposal.stop_after + 1
    node = PathNode(key=str(trial), tokens=1000)
    spec = {"trial": trial, "arm": "staged", "seed": 0, "schedule": schedule, "params": proposal.params}
    task = TrialTask(**spec, nodes=(node,), stop_after=proposal.stop_after)
    boundaries = [
        Boundary(stage=i, step=1, tokens=1, loss=loss, accuracy=None, bits_per_byte=None, node="", shared=False)
        for i, loss in enumerate(losses[1 : end + 1])
    ]
    record = make_record(trial, *schedule.stages, loss=losses[-1] if end == len(schedule.stages) else None)
    return task, record.model_copy(update={"params": proposal.params, "boundaries": tuple(boundaries)})


def searcher_of(database):
    return OptunaSearcher("staged", space_of_search(asked(), "staged", 1.0), seed=1, database=database)


def asked():
    common = {"optimizer": optimizers("adamw", "lion"), "lr": (1e-3, 2e-3)}
    return study(
        stage_space("a", (0.0, 0.1), **common),
        stage_space("b", (0.0, 0.1), **common),
        stage_space("cool", **common, lr_shape=(LINEAR,)),
        at_most=AtMostSpec(stages=2),
        search=SearchSpec(searcher="tree", trials=40),
    )


def test_a_search_that_is_taken_up_again_proposes_the_same():
    database = quiet_study(random_sampler(0))
    one = searcher_of(database)
    tasks, records, probes = [], [], set()
    for trial in range(14):
        proposal = next(one.proposals(trial))
        task, record = settled(trial, proposal)
        if proposal.stop_after is not None:
            probes.add((proposal.stop_after, len(proposal.schedule.stages)))
        one.begin(task)
        one.finish(record)
        tasks.append(task)
        records.append(record)
    again = searcher_of(quiet_study(random_sampler(0)))
    again.restore(tasks, records)
    assert next(again.proposals(14)) == next(one.proposals(14))
    assert probes, "boundaries are told by the stages of the schedule, whatever it leaves out"
    told = database.trials
    left_out = [trial for trial in told if trial.params.get("stage/0/share") == 0.0 and trial.intermediate_values]
    assert left_out
    assert all(0 not in trial.intermediate_values for trial in left_out)
