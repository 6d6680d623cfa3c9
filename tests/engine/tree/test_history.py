"""Proves that a study is read as a stage tree: what is cached, what is coming, what was bad."""

from __future__ import annotations

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from mbo_search.engine.tree.history import STOP_AFTER, History, HistoryReader, blocks_of, left_out_of

CHOICES = CategoricalDistribution(("a", "b", "c"))


def add(study: optuna.Study, names: str, state: TrialState, reached: int = 0, **facts) -> None:
    params = {f"stage/{stage}/optimizer": name for stage, name in enumerate(names)}
    study.add_trial(
        create_trial(
            state=state,
            params=params,
            distributions=dict.fromkeys(params, CHOICES),
            intermediate_values={stage: 3.0 - stage for stage in range(reached)},
            **facts,
        )
    )


def read(study: optuna.Study) -> History:
    return HistoryReader(2).read(study)


def blocks(names: str):
    return blocks_of({f"stage/{stage}/optimizer": name for stage, name in enumerate(names)}, 2)


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))


def test_a_finished_schedule_caches_the_prefixes_of_all_that_begin_alike(study):
    add(study, "ab", TrialState.COMPLETE, 2, value=2.0)
    history = read(study)
    assert [history.cached_stages(blocks(names)) for names in ("ab", "ac", "ba")] == [2, 1, 0]


def test_equal_strategies_in_different_stages_are_different_nodes(study):
    add(study, "ab", TrialState.COMPLETE, 2, value=2.0)
    assert read(study).cached_stages(blocks("ba")) == 0


def test_what_a_running_trial_produces_is_coming_but_not_cached(study):
    add(study, "ab", TrialState.RUNNING)
    history = read(study)
    assert history.cached_stages(blocks("ac")) == 0
    assert history.waits(blocks("ac"))
    assert not history.waits(blocks("ba"))


def test_a_running_probe_produces_its_own_stages_only(study):
    add(study, "ab", TrialState.COMPLETE, 2, value=2.0)
    add(study, "cb", TrialState.RUNNING, user_attrs={STOP_AFTER: 0})
    history = read(study)
    assert history.waits(blocks("ca"))
    assert not history.waits(blocks("ac"))


def test_a_trial_that_ended_before_its_end_is_bad_and_a_probe_that_did_not_is_not(study):
    add(study, "ab", TrialState.PRUNED)
    add(study, "ba", TrialState.PRUNED, 1, user_attrs={STOP_AFTER: 0})
    assert [one.params["stage/0/optimizer"] for one in read(study).infeasible] == ["a"]


def test_an_infinite_loss_is_bad_and_no_result(study):
    add(study, "ab", TrialState.COMPLETE, 1, value=float("inf"))
    history = read(study)
    assert not history.complete
    assert len(history.infeasible) == 1
    assert history.cached_stages(blocks("ab")) == 1


def test_failed_trials_say_nothing(study):
    add(study, "ab", TrialState.FAIL)
    assert not read(study).trials


def test_a_trial_read_while_it_ran_is_read_again_when_it_has_ended(study):
    add(study, "ab", TrialState.RUNNING)
    reader = HistoryReader(2)
    assert len(reader.read(study).running) == 1
    study.tell(0, 2.0)
    assert reader.read(study).complete[0].loss == 2.0


def test_the_best_schedule_comes_first(study):
    for names, value in (("ab", 2.0), ("ac", 1.0), ("bb", 3.0)):
        add(study, names, TrialState.COMPLETE, 2, value=value)
    assert [one.loss for one in read(study).complete] == [1.0, 2.0, 3.0]


def test_a_stage_that_is_left_out_changes_nothing_between_its_neighbors(study):
    """`c` leaves a stage out: what was reached before it is reached after it, and nothing ends in it."""

    def trained(params):
        return [stage for stage in range(3) if params[f"stage/{stage}/optimizer"] != "c"]

    def three(names):
        return blocks_of({f"stage/{stage}/optimizer": name for stage, name in enumerate(names)}, 3)

    add(study, "aca", TrialState.PRUNED, 1)
    add(study, "cba", TrialState.PRUNED)
    history = HistoryReader(3, left_out_of(trained, 3)).read(study)
    assert history.trials[0].boundaries == {0: 3.0, 1: 3.0}
    assert [history.dead_end(one) for one in history.trials] == [three("aca"), three("cba")[:2]]
    found = [history.cached_stages(three(names)) for names in ("aca", "acb", "aba", "cab", "cca")]
    assert found == [2, 2, 1, 1, 2]
    assert [history.first_stage(three(names)) for names in ("aca", "cba", "cca")] == [0, 1, 2]
