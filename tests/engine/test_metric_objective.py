"""Proves that a study may be searched, confirmed, reported and exported by a metric of its task from end to end."""

from __future__ import annotations

import json

import optuna
import pytest

from mbo_search.engine.run import RunOptions, run_study
from mbo_search.engine.searcher.optuna_searcher import OptunaSearcher, SearchSpace, open_study
from mbo_search.engine.searcher.searches import space_of_search
from mbo_search.engine.tasks import TrialTask
from mbo_search.export.dashboard.view import write_dashboard
from mbo_search.report.page.page import render_report
from mbo_search.report.source import read_source
from mbo_search.results.ranking.files import make_ranking, write_ranking
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.schedule_file import parse_schedule_file
from mbo_search.study.files.study_file import parse_study
from mbo_search.study.space.searcher_notes import searcher_of
from mbo_search.testing.records import make_record, make_stage
from tests.helpers.toy_world import toy_maker, toy_nodes, toy_staged

STUDY = """
study: names
data: {{source: ["{source}"], tokenizer: bytes, task: {{prompt: q, completion: a}}, validation_share: 0.2}}
model: {{layers: 1, width: 16, heads: 2, context: 32}}
budget: {{tokens: 2560, grid: 0.5}}
train: {{batch_tokens: 64, micro_batch: 2, precision: float32, threads: 1, device: cpu}}
evaluation: {{tokens: 256, points: 1, metrics: [chrf], generate: {{max_new_tokens: 4}}}}
stages:
  - {{name: warm, share: 0.5, optimizer: [adamw, lion], lr: {{relative: [0.5, 2.0]}}, lr_shape: constant}}
  - {{name: cool, share: rest, optimizer: [adamw, lion], lr: {{relative: [0.5, 2.0]}}, lr_shape: linear}}
search: {{objectives: [chrf], trials: 6}}
control: 0.4
baselines: [adamw_cosine]
confirm: {{seeds: 2}}
resources: {{workers: 1}}
"""


def told_values(folder, scores):
    """What a searcher's database has of trials with these scores and a loss that says the opposite."""
    database = open_study(folder / "staged.db", "staged", 1)
    space = SearchSpace(function=toy_staged, sampler=toy_maker("tpe"), objectives=("chrf",))
    arm = OptunaSearcher("staged", space, seed=1, database=database)
    for trial, score in enumerate(scores):
        proposal = next(arm.proposals(trial))
        task = TrialTask(
            trial=trial,
            arm="staged",
            seed=0,
            schedule=proposal.schedule,
            nodes=toy_nodes(proposal.schedule, 0),
            params=proposal.params,
            optuna_number=arm.next_number,
        )
        arm.begin(task)
        record = make_record(trial, make_stage("adamw", 1.0), loss=2.0 + (score or 0) / 100)
        own = {} if score is None else {"chrf": score}
        arm.finish(record.model_copy(update={"params": task.params, "scores": own}))
    return [(trial.state.name, trial.values) for trial in database.get_trials()]


def test_the_searcher_is_told_the_metric_in_its_direction(tmp_path):
    found = told_values(tmp_path, [10.0, None, 30.0])
    assert found == [("COMPLETE", [-10.0]), ("FAIL", None), ("COMPLETE", [-30.0])]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    source = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    words = ["one", "two", "six", "ten"]
    rows = [{"q": f"{number} {words[number % 4]}", "a": words[number % 4]} for number in range(120)]
    source.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return parse_study(STUDY.format(source=source), "names.yaml")


def test_the_tree_searcher_gives_way_to_one_that_needs_no_losses(study):
    assert searcher_of(study, 2) == "tpe"
    assert space_of_search(study, "staged", 0.5).objectives == ("chrf",)


@pytest.mark.slow
def test_a_study_is_searched_confirmed_and_reported_by_chrf(study, tmp_path):
    run_study(study, tmp_path / "run", RunOptions(cache=tmp_path / "cache", backend="local"))
    run = RunDirectory(tmp_path / "run")
    records, ranking = run.records(), make_ranking(run)
    searched = {record.trial: record.scores["chrf"] for record in records if record.is_search}
    assert len(searched) == 6
    assert {record.arm for record in records if not record.is_search} == {"confirm"}
    confirmed = [row for row in ranking.trials if row.confirmed]
    assert [row.scores["chrf"] for row in confirmed] == sorted(
        (row.scores["chrf"] for row in confirmed), reverse=True
    )
    rest = [searched[row.trial] for row in ranking.trials if row.rank and not row.confirmed]
    assert rest == sorted(rest, reverse=True)
    best = {row.trial: row for row in ranking.trials}[ranking.verdict.champion_trial]
    assert searched[best.trial] == max(searched[row.trial] for row in ranking.trials if row.rung == best.rung)
    database = optuna.load_study(study_name=None, storage=f"sqlite:///{run.database}")
    own = {trial.user_attrs["trial"]: trial.value for trial in database.trials if "trial" in trial.user_attrs}
    assert own == {trial: -searched[trial] for trial in own}
    write_ranking(run, ranking)
    exported = parse_schedule_file(run.best_yaml.read_text(encoding="utf-8"), "best.yaml").provenance
    assert exported.trial == ranking.verdict.winner_trial == ranking.trials[0].trial
    assert write_dashboard(run).is_file()
    for language, words in (("en", "ranked by chrf"), ("zh", "按 chrf 排名")):
        assert words in render_report(read_source(run), language=language)
