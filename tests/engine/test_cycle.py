"""Proves on a real study that blocks, their learning rates and their turns are searched together, are told, and are
trained again from an exported schedule to the same bits."""

from __future__ import annotations

import pytest

from mbo_search.engine.plan import make_plan
from mbo_search.engine.run import RunOptions, run_study
from mbo_search.errors import UserError
from mbo_search.export.files import Chosen, export_schedules
from mbo_search.export.replay import replay
from mbo_search.report.page.page import write_report
from mbo_search.study.files.schedule_file import load_schedule_file
from mbo_search.testing.studies import tiny_study

pytestmark = pytest.mark.slow

SETTINGS = (
    "stage_defaults.trainable=[all, attention+mlp+norms]",
    "stage_defaults.groups={mlp: {lr_ratio: [0.5, 2]}}",
    "stages.0.cycle=[off, {blocks: [attention, mlp], tokens: [100, 320]}]",
    "stages.1.cycle=[{blocks: [mlp, attention], tokens: 640, mode: freeze}]",
    "stage_defaults.optimizer=adamw",
    "search.trials=10",
    "search.searcher=random",
)


@pytest.fixture(scope="module")
def cache(tiny_root):
    return tiny_root / "cache"


@pytest.fixture(scope="module")
def study(tiny_root):
    return tiny_study(tiny_root, *SETTINGS)


@pytest.fixture(scope="module")
def run(study, cache, tmp_path_factory):
    return run_study(study, tmp_path_factory.mktemp("cycle") / "run", RunOptions(cache=cache, backend="local")).run


def test_blocks_and_turns_vary_and_all_is_told(run, study, cache, tmp_path):
    records = [record for record in run.records() if record.arm == "staged"]
    assert all(record.state == "complete" for record in run.records())
    first = {
        (each.trainable, each.lr_ratios["mlp"], each.cycle is None)
        for each in (r.schedule.stages[0] for r in records)
    }
    assert len(first) > 3
    assert {record.schedule.stages[1].cycle.mode for record in records} == {"freeze"}
    assert "attention every 640 tokens" in write_report(run).read_text()
    plan = make_plan(study, cache=cache, backend="local")
    declared = {parameter.name for arm in plan.arms for parameter in arm.parameters}
    assert {"stage/0/cycle", "stage/0/cycle/turns(attention,mlp)/tokens", "stage/0/groups/mlp/lr_ratio"} <= declared


def test_an_exported_schedule_trains_to_the_recorded_bits_and_scripts_refuse_it(run, cache, tmp_path):
    found = next(r for r in run.records() if r.arm == "staged" and r.schedule.stages[0].cycle is not None)
    export_schedules(run, Chosen(trial=found.trial), "yaml", tmp_path / "one.yaml")
    file = load_schedule_file(tmp_path / "one.yaml")
    assert file.schedule == found.schedule
    assert replay(file, cache=cache, folder=tmp_path / "work").is_equal
    with pytest.raises(UserError, match="has no code for cycle"):
        export_schedules(run, Chosen(trial=found.trial), "python", tmp_path / "one.py")
