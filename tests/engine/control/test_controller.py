"""Proves that the controller keeps its promises: fair arms, no work done twice, nothing lost wherever it dies."""

from __future__ import annotations

import optuna
import pytest

from mbo_search.engine.control.confirm import Confirmation
from mbo_search.engine.control.controller import MOST_RETRIES
from mbo_search.engine.control.stopping import StoppingCriteria
from mbo_search.results.evidence.champions import champions, contenders
from mbo_search.results.records.schedule_groups import group_by_schedule, schedule_identity
from mbo_search.study.space.ablations import ablations_of
from mbo_search.study.spec.sections.searching import ConfirmSpec
from mbo_search.trial.outcome import TrialOutcome
from tests.helpers.toy_world import BUDGET, OPTIMA


def test_baselines_run_first_and_limits_count_every_trial(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=10))
    controller = world.run(world.controller())
    records = controller.table.records
    assert [record.trial for record in records] == list(range(10))
    assert (records[0].arm, records[0].label) == ("baseline", "adamw_linear")
    assert {record.arm for record in records[1:]} == {"staged", "tuned"}


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("control", [0.25, 0.5])
def test_both_sides_are_charged_their_shares_at_any_moment(toy_world, control, slots):
    world = toy_world(limits=StoppingCriteria(trials=40), control=control, slots=slots)
    controller = world.controller()
    one_schedule = 160
    while (task := controller.ask()) is not None:
        own, theirs = (controller.table.charged_tokens((arm,)) for arm in ("staged", "tuned"))
        assert abs(theirs - control * (own + theirs)) <= one_schedule
        controller.started(task.trial)
        controller.tell(task.trial, world.execute(task))
    assert len(controller.table.records) == 40


def test_without_control_all_proposals_are_staged(toy_world):
    world = toy_world(control=0.0, baselines=0)
    assert {record.arm for record in world.run(world.controller()).table.records} == {"staged"}


def test_budget_counts_executed_and_expected_tokens(toy_world):
    world = toy_world(limits=StoppingCriteria(tokens=1000), slots=3)
    controller = world.run(world.controller())
    assert 1000 <= controller.table.search_tokens() < 1000 + 160
    assert controller.ended_by() == "budget"


def test_hours_end_the_search_between_trials(toy_world):
    world = toy_world(limits=StoppingCriteria(seconds=500.0))
    controller = world.run(world.controller())
    assert controller.ended_by() == "hours"
    assert controller.elapsed_seconds < 500 + 160


def test_every_slot_is_filled_and_counted_busy(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=30), slots=4)
    controller = world.run(world.controller())
    assert controller.utilization.fraction() == pytest.approx(1.0)


def test_no_two_trials_train_the_same_node(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=40), slots=4)
    world.run(world.controller())
    assert len(world.executed) == len(set(world.executed))


def test_exact_duplicates_are_told_what_is_known_and_cost_nothing(toy_world, toy_finite):
    world = toy_world(limits=StoppingCriteria(trials=8), control=0.0, baselines=0, space=toy_finite)
    controller = world.run(world.controller())
    told = [record for record in controller.table.records if "trains exactly like" in record.message]
    assert len(controller.table.records) == 8
    assert len(told) == 4
    assert all(record.cost.executed_tokens == 0 and record.val_loss is not None for record in told)
    study = world.databases["staged"]
    assert len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE])) == 8


def test_a_finite_space_ends_the_search_when_every_schedule_is_known(toy_world, toy_finite):
    world = toy_world(limits=StoppingCriteria(trials=50), control=0.0, baselines=0, space=toy_finite, size=4)
    controller = world.run(world.controller())
    assert controller.ended_by() == "space"
    assert len({record.schedule.model_dump_json() for record in controller.table.records}) == 4


def test_a_schedule_that_another_trial_is_on_the_way_to_is_held_back(toy_world, toy_finite):
    world = toy_world(limits=StoppingCriteria(trials=50), control=0.0, baselines=0, space=toy_finite, size=4)
    controller = world.controller()
    first, second = controller.ask(), controller.ask()
    assert first.nodes[0].key != second.nodes[0].key
    assert (
        controller.ask() is None
    )  # both first stages are being trained: waiting is as fast as training them twice
    assert controller.has_more
    controller.tell(first.trial, world.execute(first))
    third = controller.ask()
    assert third.nodes[0].key == first.nodes[0].key
    assert third.end != first.end


def test_diverged_is_told_pruned_and_broken_is_told_failed(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=9), control=0.0, baselines=0)
    world.fate = lambda task: ("complete", "diverged", "exception")[task.trial % 3]
    world.run(world.controller())
    study = world.databases["staged"]
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "PRUNED", "FAIL"] * 3
    assert study.trials[1].user_attrs["reason"] == "non_finite"
    assert study.trials[0].intermediate_values.keys() == {0, 1}


def test_a_lost_worker_is_repeated_twice_and_then_failed(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=1), control=0.0, baselines=0)
    controller = world.controller()
    for attempt in range(MOST_RETRIES + 1):
        task = controller.ask()
        assert task.trial == 0, attempt
        controller.started(task.trial)
        controller.worker_lost(task.trial, "killed by signal 9")
    assert controller.ask() is None
    assert not controller.has_more
    record = controller.table.records[0]
    assert (record.state, record.reason, record.attempts) == ("failed", "worker_lost", MOST_RETRIES + 1)


def test_what_a_lost_attempt_had_trained_is_counted_as_its_own(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=1), control=0.0, baselines=0)
    controller = world.controller()
    task = controller.ask()
    controller.started(task.trial)
    world.nodes.add(task.nodes[0].key)  # the worker committed its first stage and died before it could say so
    controller.worker_lost(task.trial, "killed")
    controller.started(controller.ask().trial)
    controller.tell(task.trial, world.execute(task))
    record = controller.table.records[0]
    assert record.cost.executed_tokens == task.tokens
    assert not record.boundaries[0].shared


def test_interrupted_trials_stay_open_and_resume_under_their_own_number(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=3), baselines=0)
    controller = world.controller()
    task = controller.ask()
    controller.started(task.trial)
    controller.stop()
    controller.tell(task.trial, TrialOutcome(state="interrupted", reason="signal", executed_tokens=40))
    assert controller.ask() is None
    assert world.disk.records[0].state == "interrupted"
    again = world.controller()
    assert again.ask() == task
    again.started(task.trial)
    outcome = world.execute(task)
    again.tell(
        task.trial, outcome.model_copy(update={"cost": outcome.cost.model_copy(update={"executed_tokens": 120})})
    )
    assert (world.disk.records[0].attempts, world.disk.records[0].cost.executed_tokens) == (2, 160)


def test_a_second_tell_of_the_same_trial_changes_nothing(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=2), baselines=0)
    controller = world.controller()
    task = controller.ask()
    controller.tell(task.trial, world.execute(task))
    before = controller.table.records
    controller.tell(task.trial, world.execute(task))
    assert controller.table.records == before


def confirmation(**spec):
    return {"confirm": Confirmation(spec=ConfirmSpec(**spec), search_seed=7, budget=BUDGET, reference_lrs=OPTIMA)}


def of_arm(controller, arm):
    return [record for record in controller.table.records if record.arm == arm]


def test_confirm_runs_follow_the_search_on_fresh_seeds_paired(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=10), slots=2, extra=confirmation(seeds=3))
    controller = world.run(world.controller())
    confirm = of_arm(controller, "confirm")
    groups = group_by_schedule(controller.table.records)
    wanted = {f"{runs.head.arm}:{runs.head.trial}" for runs in contenders(groups, champions(groups), 1).schedules}
    assert {label.split(":")[0] for label in wanted} == {"staged", "tuned", "baseline"}
    by_label: dict[str, set[int]] = {}
    for record in confirm:
        by_label.setdefault(record.label, set()).add(record.seed)
    assert by_label == {label: {8, 9, 10} for label in wanted}
    again = world.run(world.controller())
    assert len(again.table.records) == len(controller.table.records)


def test_the_strongest_opponent_is_trained_with_less_and_with_more_text(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=10), extra=confirmation(seeds=2))
    controller = world.run(world.controller())
    found = {(record.budget_multiple, record.seed) for record in of_arm(controller, "tokens")}
    assert found == {(0.8, 8), (0.8, 9), (1.2, 8), (1.2, 9)}
    best = champions(group_by_schedule(controller.table.records)).strongest
    assert all(record.schedule == best.head.schedule for record in of_arm(controller, "tokens"))
    tokens = {record.budget_multiple: record.requested_tokens for record in of_arm(controller, "tokens")}
    assert tokens == {0.8: 128, 1.2: 192}


@pytest.mark.parametrize("spec", [{"seeds": 1}, {"seeds": 2, "equivalent_tokens": False}])
def test_without_two_seeds_or_the_wish_no_other_budget_is_trained(toy_world, spec):
    world = toy_world(limits=StoppingCriteria(trials=10), extra=confirmation(**spec))
    assert of_arm(world.run(world.controller()), "tokens") == []


def test_attribution_puts_parts_of_the_staged_champion_back(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=10), slots=3, extra=confirmation(seeds=2, attribution=True))
    controller = world.run(world.controller())
    best = champions(group_by_schedule(controller.table.records))
    swaps = ablations_of(best.challenger.head.schedule, best.baseline.head.schedule, OPTIMA, BUDGET).found
    trained = {(schedule_identity(record.schedule), record.seed) for record in of_arm(controller, "attribution")}
    assert trained == {(schedule_identity(swap.schedule), seed) for swap in swaps for seed in (8, 9)}
    assert len(world.executed) == len(set(world.executed))


@pytest.mark.parametrize("searcher", ["tpe", "random"])
def test_death_at_any_write_changes_neither_schedules_nor_losses(toy_world, tmp_path_factory, searcher):
    def fresh():
        return toy_world(
            limits=StoppingCriteria(trials=6), searcher=searcher, folder=tmp_path_factory.mktemp("run")
        )

    def summary(controller):
        return [(record.trial, record.arm, record.schedule, record.val_loss) for record in controller.table.records]

    whole = fresh()
    expected = summary(whole.run(whole.controller()))
    assert whole.deaths.num_writes >= 60
    for point in range(whole.deaths.num_writes):
        world = fresh()
        world.deaths.die_at = point
        with pytest.raises(world.deaths.Killed):
            world.run(world.controller())
        world.deaths.die_at = None
        assert summary(world.run(world.controller())) == expected
        for study in world.databases.values():
            assert all(trial.state.is_finished() for trial in study.trials)
            numbers = [trial.user_attrs["trial"] for trial in study.trials]
            assert numbers == sorted(set(numbers))


def test_a_lost_database_is_rebuilt_from_tasks_and_records(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=6))
    world.run(world.controller())
    before = [(trial.state, trial.params, trial.value) for trial in world.databases["staged"].trials]
    world.databases.clear()
    world.limits = StoppingCriteria(trials=7)
    world.run(world.controller())
    after = [(trial.state, trial.params, trial.value) for trial in world.databases["staged"].trials]
    assert after[: len(before)] == before


def test_sqlite_databases_hold_one_study_each_and_reopen(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=5), sqlite=True)
    world.run(world.controller())
    world.databases.clear()
    world.limits = StoppingCriteria(trials=8)
    world.run(world.controller())
    numbers = []
    for arm in ("staged", "tuned"):
        study = optuna.load_study(study_name=None, storage=f"sqlite:///{world.folder}/{arm}.db")
        assert all(trial.state.is_finished() for trial in study.trials)
        numbers += [trial.user_attrs["trial"] for trial in study.trials]
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6, 7]
