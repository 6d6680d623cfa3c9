"""Proves that the tree searcher proposes what it promises, on plain Optuna studies with mixed and finite spaces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pytest

from mbo_search.engine.searcher.planned_sampler import tree_sampler
from mbo_search.engine.tree.history import STOP_AFTER, HistoryReader, blocks_of
from mbo_search.engine.tree.planned_trial import EXPECTED_GAIN
from mbo_search.engine.tree.planner import TreePlanner
from mbo_search.engine.tree.planner_state import PlannerState, TreeSettings, initial_design_size
from tests.helpers.staged_space import NUM_STAGES, mixed_space, run_trial, small_space

SETTINGS = TreeSettings(num_stages=NUM_STAGES, sweep_size=4, num_candidates=64)


def tree_study(space=mixed_space, seed=0, settings=SETTINGS) -> optuna.Study:
    return optuna.create_study(sampler=tree_sampler(space, settings, seed=seed, spent=lambda: 0.0))


def params_of(study: optuna.Study) -> list[dict]:
    return [trial.params for trial in study.get_trials(deepcopy=False)]


def test_the_sweep_probes_each_stage_behind_the_best_boundary():
    study = tree_study()
    trials = [run_trial(study) for _ in range(12)]
    stops = [trial.user_attrs.get(STOP_AFTER) for trial in trials]
    probes = stops[:8].count(1)
    assert probes in (3, 4)  # the model may leave the last one out
    assert stops[: 7 + probes] == [0] * 4 + [1] * probes + [None] * 3
    first = [trial.storage.get_trial(trial._trial_id) for trial in trials[:4]]
    best = min(first, key=lambda trial: trial.intermediate_values[0])
    heads = {blocks_of(trial.params, NUM_STAGES)[0] for trial in trials[4 : 7 + probes]}
    assert heads == {blocks_of(best.params, NUM_STAGES)[0]}


@pytest.mark.parametrize("space", [mixed_space, small_space])
def test_equal_seeds_give_equal_searches_and_others_do_not(space):
    studies = [tree_study(space, seed) for seed in (0, 0, 1)]
    for study in studies:
        for _ in range(22):
            run_trial(study, space)
    assert params_of(studies[0]) == params_of(studies[1])
    assert params_of(studies[0]) != params_of(studies[2])


def test_random_search_is_left_behind_in_a_mixed_space():
    found = {"tree": [], "random": []}
    for seed in range(3):
        samplers = {
            "tree": tree_sampler(mixed_space, SETTINGS, seed=seed, spent=lambda: 0.5),
            "random": optuna.samplers.RandomSampler(seed=seed),
        }
        for name, sampler in samplers.items():
            study = optuna.create_study(sampler=sampler)
            for _ in range(60):
                run_trial(study)
            found[name].append(study.best_value)
    assert np.mean(found["tree"]) < np.mean(found["random"]) - 0.1


@pytest.mark.parametrize("space", [mixed_space, small_space])
def test_slots_are_filled_while_whole_schedules_of_the_prefix_are_still_running(space):
    study = tree_study(space)
    study.sampler, planned = optuna.samplers.RandomSampler(seed=0), study.sampler
    for _ in range(2):
        run_trial(study, space, fate="running")
    study.sampler = planned
    trial = run_trial(study, space, fate="running")
    assert trial.user_attrs[STOP_AFTER] == 0


def test_what_is_cached_whole_is_never_proposed_again():
    study = tree_study(small_space)
    for _ in range(60):
        run_trial(study, small_space)
    whole = [blocks_of(trial.params, NUM_STAGES) for trial in study.trials if STOP_AFTER not in trial.user_attrs]
    modeled = [trial for trial in study.trials if EXPECTED_GAIN in trial.user_attrs]
    ended = [blocks_of(trial.params, NUM_STAGES) for trial in modeled if STOP_AFTER not in trial.user_attrs]
    assert len(modeled) > len(ended) > 10
    assert all(whole.count(blocks) == 1 for blocks in ended)


def test_no_two_trials_in_flight_produce_the_same_first_node():
    study = tree_study(small_space)
    for _ in range(25):
        run_trial(study, small_space)
    for _ in range(6):
        history = HistoryReader(NUM_STAGES).read(study)
        trial = run_trial(study, small_space, fate="running")
        assert EXPECTED_GAIN in trial.user_attrs
        assert not history.waits(blocks_of(trial.params, NUM_STAGES))


def test_a_region_that_diverges_is_left():
    study = tree_study(small_space)
    for _ in range(60):
        trial = study.ask()
        is_bad = small_space_is_bad(trial)
        if is_bad:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            finish(study, trial)
    modeled = [trial for trial in study.trials if EXPECTED_GAIN in trial.user_attrs]
    bad = [trial for trial in modeled if trial.params["stage/1/optimizer"] == "lion"]
    assert len(bad) < len(modeled) / 3


def small_space_is_bad(trial: optuna.Trial) -> bool:
    from mbo_search.engine.searcher.suggest import OptunaSuggest

    small_space(OptunaSuggest(trial))
    return trial.params["stage/1/optimizer"] == "lion" and trial.user_attrs.get(STOP_AFTER, 9) >= 1


def finish(study: optuna.Study, trial: optuna.Trial) -> None:
    from mbo_search.engine.searcher.suggest import FixedSuggest
    from tests.helpers.staged_space import losses

    found = losses(small_space(FixedSuggest(trial.params)))
    stop_after = trial.user_attrs.get(STOP_AFTER)
    for stage in range(NUM_STAGES if stop_after is None else stop_after + 1):
        trial.report(found[stage], stage)
    if stop_after is None:
        study.tell(trial, found[-1])
    else:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)


def test_a_fifth_of_the_cost_goes_to_new_prefixes_where_there_are_any():
    study = tree_study()
    for _ in range(40):
        run_trial(study)
    history = HistoryReader(NUM_STAGES).read(study)
    state = PlannerState(mixed_space, SETTINGS)
    planner = TreePlanner(mixed_space, SETTINGS, seed=0, spent=lambda: 0.0, state=state)
    assert planner._root_share(history) > 0.17


def test_while_the_last_boundaries_of_a_sweep_are_awaited_new_prefixes_are_tried():
    study = tree_study()
    for _ in range(4):
        run_trial(study, fate="running")
    trial = run_trial(study, fate="running")
    assert STOP_AFTER not in trial.user_attrs


def test_the_sweep_takes_two_fifths_of_small_efforts():
    assert [initial_design_size(schedules) for schedules in (1, 15, 1000, None)] == [4, 6, 12, 12]


def test_the_example_of_the_guide_finds_what_it_looks_for():
    text = (Path(__file__).parents[3] / "docs" / "stage-tree.md").read_text(encoding="utf-8")
    example = text.split("```python\n", 1)[1].split("```", 1)[0]
    names: dict = {}
    exec(compile(example, "stage-tree.md", "exec"), names)
    assert names["study"].best_value < 1.6
