"""Proves on a real study that batches and contexts are searched, told everywhere, and trained again to the bit."""

from __future__ import annotations

import pytest

from mbo_search.engine.plan import make_plan
from mbo_search.engine.run import RunOptions, run_study
from mbo_search.errors import StudyError, UserError
from mbo_search.export.files import Chosen, export_schedules
from mbo_search.export.overrides import with_overrides
from mbo_search.export.replay import replay
from mbo_search.report.page.page import write_report
from mbo_search.study.files.schedule_file import load_schedule_file
from mbo_search.testing.studies import tiny_study

pytestmark = pytest.mark.slow

SETTINGS = (
    "budget.tokens=2900",
    "train.batch_tokens=32",
    "train.micro_batch=2",
    "stage_defaults.optimizer=adamw",
    "stage_defaults.lr_with_batch=sqrt",
    "stages.0.batch_tokens=[16, 32]",
    "stages.0.context=8",
    "stages.1.batch_tokens=[64, 96]",
    "search.trials=8",
    "search.searcher=random",
)
"""Segments of 576 tokens, although 704 of them would be whole steps of 32: they are whole steps of 96, too."""


@pytest.fixture(scope="module")
def cache(tiny_root):
    return tiny_root / "cache"


@pytest.fixture(scope="module")
def study(tiny_root):
    return tiny_study(tiny_root, *SETTINGS)


@pytest.fixture(scope="module")
def run(study, cache, tmp_path_factory):
    return run_study(
        study, tmp_path_factory.mktemp("batches") / "run", RunOptions(cache=cache, backend="local")
    ).run


def test_batches_vary_at_equal_cost_and_all_is_told(run, study, cache):
    records = run.records()
    assert all((record.state, record.requested_tokens) == ("complete", 2304) for record in records)
    staged = [record for record in records if record.arm == "staged"]
    assert len({tuple(stage.batch_tokens for stage in record.schedule.stages) for record in staged}) > 1
    assert len({record.boundaries[-1].step for record in staged}) > 1
    assert {record.boundaries[-1].tokens for record in staged} == {2304}
    curves = [run.curve(record.trial) for record in records]  # a repeated proposal has none of its own
    assert {rows[-1].tokens for rows in curves if rows} == {2304}
    page = write_report(run).read_text(encoding="utf-8")
    assert "72 of 32 tokens; 24 to 144" in page
    assert '"optimizer state", "settings", "batch", "context"]' in page.replace('","', '", "')
    plan = make_plan(study, cache=cache, backend="local")
    assert plan.schedule_tokens == 2304
    declared = {parameter.name for arm in plan.arms for parameter in arm.parameters}
    assert {"stage/0/batch_tokens", "stage/1/batch_tokens"} <= declared


def test_an_exported_schedule_trains_to_the_recorded_bits_and_scripts_refuse_it(run, cache, tmp_path):
    found = next(r for r in run.records() if r.arm == "staged" and r.schedule.stages[1].batch_tokens == 64)
    export_schedules(run, Chosen(trial=found.trial), "yaml", tmp_path / "one.yaml")
    file = load_schedule_file(tmp_path / "one.yaml")
    assert (file.schedule, file.study.budget.tokens) == (found.schedule, 2304)
    assert replay(file, cache=cache, folder=tmp_path / "work").is_equal
    assert with_overrides(file, ["budget.tokens=5000"]).study.budget.tokens == 5000
    with pytest.raises(UserError, match="batch_tokens"):
        export_schedules(run, Chosen(trial=found.trial), "python", tmp_path / "one.py")
    with pytest.raises(StudyError, match="multiple of"):
        with_overrides(file, ["train.batch_tokens=24"])
