"""Proves that settings of the user's own reach the trainer that reads them, the records, and all that is told."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mbo_search.engine.fork import fork_study
from mbo_search.engine.open_run import create_run
from mbo_search.engine.plan import make_plan
from mbo_search.engine.run import RunOptions, resume_study, run_study
from mbo_search.errors import StudyError
from mbo_search.export.dashboard.settings import distributions_of, settings_of
from mbo_search.report.page.page import write_report
from mbo_search.results.ranking.files import make_ranking
from mbo_search.testing.studies import tiny_study
from tests.engine.test_passed_runner import Falling

CUSTOM = (
    "custom={mix: [web, books], width: [64, 128]}",
    "stage_defaults.custom={batch: {low: 2, high: 9}, flash: [true, false]}",
    "stages.1.custom={flash: true}",
)
CONFIRM = 'confirm={"top": 1, "seeds": 2, "attribution": true, "equivalent_tokens": false}'


class Reading(Falling):
    """A runner that learns faster with larger batches, and remembers what it was told."""

    def __init__(self, folder):
        super().__init__(folder)
        self.seen = []

    def run(self, node, segments, seed, stop):
        self.seen += [segment.stage.custom for segment in segments]
        folder, report = super().run(node, segments, seed, stop)
        gained = sum(1e-4 * segment.stage.custom["batch"] for segment in segments)
        loss = json.loads((folder / "loss.json").read_text()) - gained
        (folder / "loss.json").write_text(json.dumps(loss))
        metrics = None if report.metrics is None else replace(report.metrics, loss=loss)
        return folder, replace(report, metrics=metrics)


@pytest.fixture(scope="module")
def study(tiny_root):
    return tiny_study(tiny_root, *CUSTOM, "search.trials=8", CONFIRM)


@pytest.fixture(scope="module")
def options(tiny_root, tmp_path_factory):
    return RunOptions(cache=tiny_root / "cache", backend="local", runner=Reading(tmp_path_factory.mktemp("states")))


@pytest.fixture(scope="module")
def searched(study, options, tmp_path_factory):
    return run_study(study, tmp_path_factory.mktemp("custom") / "run", options)


def test_the_trainer_is_told_every_setting_with_its_type(searched, options):
    types = {"batch": int, "flash": bool, "mix": str, "width": int}
    assert len(options.runner.seen) > 8
    assert all({name: type(value) for name, value in one.items()} == types for one in options.runner.seen)
    assert {one["mix"] for one in options.runner.seen} == {"web", "books"}


def test_records_hold_them_and_one_schedule_has_one_value_of_what_is_common(searched):
    for record in searched.run.records():
        stages = record.schedule.stages
        assert {stage.custom.keys() >= {"batch", "flash", "mix", "width"} for stage in stages} == {True}
        assert len({(stage.custom["mix"], stage.custom["width"]) for stage in stages}) == 1
        assert all(type(stage.custom["flash"]) is bool for stage in stages)


@pytest.mark.slow
@pytest.mark.parametrize("searcher", ["gp", "random", "tree", "greedy", "beam2", "grid"])
def test_every_searcher_proposes_them(tiny_root, options, tmp_path, searcher):
    finite = ("stage_defaults.custom.batch=[2, 9]", "stage_defaults.lr=0.001") if searcher == "grid" else ()
    study = tiny_study(tiny_root, *CUSTOM, *finite, "search.trials=9", f"search.searcher={searcher}")
    run = run_study(study, tmp_path / "run", replace(options, runner=Reading(tmp_path / "states"))).run
    found = [record for record in run.records() if record.arm == "staged" and record.val_loss is not None]
    assert len({record.schedule.model_dump_json() for record in found}) > 1
    assert all("stage/1/custom/batch" in record.params and "stage/0/study/mix" in record.params for record in found)


def test_the_winner_is_judged_and_its_settings_are_put_back(searched):
    found = make_ranking(searched.run).attribution
    rows = [row for row in found.rows if row.part == "custom"]
    assert rows or "stage 1 custom" in found.unchanged
    assert all("batch" in row.change or "flash" in row.change for row in rows)


def test_a_search_goes_on_and_is_forked_with_them(searched, options, tmp_path):
    assert resume_study(searched.run.path, options, ["search.trials=9"]).num_complete > searched.num_complete
    forked = fork_study(
        searched.run.path, tmp_path / "fork", ["custom.mix=[web, books, code]"], cache=options.cache
    )
    assert forked.reused
    narrow = fork_study(searched.run.path, tmp_path / "narrow", ["custom.mix=web"], cache=options.cache)
    assert len(narrow.reused) < len(forked.reused)


def test_the_page_and_the_dashboard_tell_them(searched, tmp_path):
    write_report(searched.run, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "own settings" in page
    assert "mix web, width" in page
    specs = searched.run.records()
    staged = next(one for one in specs if one.arm == "staged")
    assert settings_of(staged.schedule)["warm/custom/flash"] in ("true", "false")
    assert {"warm/custom/batch", "warm/custom/mix"} <= distributions_of(specs).keys()


def test_the_built_in_trainer_refuses_them_before_anything_is_made(study, options, tmp_path):
    ours = RunOptions(cache=options.cache, backend="local")
    for start in (
        lambda: create_run(study, tmp_path / "ours", ours),
        lambda: run_study(study, tmp_path / "ours", ours),
        lambda: make_plan(study, cache=options.cache, backend="local"),
    ):
        with pytest.raises(StudyError, match=r"custom: mix, width would be read by nobody"):
            start()
    assert not (tmp_path / "ours").exists()


def test_a_plan_shows_what_is_searched_and_what_the_baselines_have(study, options):
    plan = make_plan(study, cache=options.cache, backend="local", runner=options.runner)
    (staged,) = (arm for arm in plan.arms if arm.arm == "staged")
    assert {"stage/0/study/mix", "stage/1/custom/batch"} <= {one.name for one in staged.parameters}
    assert plan.baselines["adamw_cosine"].stages[0].custom == {"batch": 5, "flash": True, "mix": "web", "width": 64}
    assert "flash" not in {one.name.rpartition("/")[2] for one in staged.parameters if "stage/1" in one.name}
