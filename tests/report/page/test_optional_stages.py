"""Proves that schedules with different numbers of stages of one study are ranked, drawn and listed together."""

from __future__ import annotations

import pytest

from mbo_search.report.page.page import render_report
from mbo_search.report.source import read_source
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.spec.sections.stages import AtMostSpec
from mbo_search.study.spec.sections.values import Range
from mbo_search.testing.runs import build_records, make_setup, make_study
from tests.report.pages import DRAWN, ParsedPage

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    plain = make_study(4)
    shares = ((0.0, 0.2), Range(low=0.0, high=0.3), (0.0, 0.2, 0.3), "rest")
    stages = tuple(
        stage.model_copy(update={"share": share}) for stage, share in zip(plain.stages, shares, strict=True)
    )
    study = plain.model_copy(update={"stages": stages, "at_most": AtMostSpec(stages=3, optimizer_changes=1)})
    run = RunDirectory.create(tmp_path_factory.mktemp("optional") / "run", study, make_setup(study))
    for record, curve in build_records(study, num_trials=48, confirm_seeds=2):
        run.write_record(record, curve)
    return read_source(run)


def test_the_study_is_read_back_with_its_limits(source):
    assert source.study.at_most == AtMostSpec(stages=3, optimizer_changes=1)
    assert {len(record.schedule.stages) for record in source.records.values()} == {1, 2, 3}


def test_every_figure_is_drawn_and_every_schedule_listed(source):
    page = ParsedPage(render_report(source))
    drawn = {name.removeprefix("figure-") for name in page.embedded if name.startswith("figure-")}
    assert drawn == set(DRAWN)
    counts = {len(record.schedule.stages) for record in source.finished_of("staged")}
    assert len(counts) > 1
    assert any(name.startswith("stage/1/") for name in source.importance_by_name)
