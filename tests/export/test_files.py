"""Exported files, YAML or JSON, hold the schedule with its study and origin, and read back equal."""

from __future__ import annotations

import json

import pytest

from mbo_search.errors import RunDirectoryError
from mbo_search.export.files import export_schedule
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.ranking.provenance import schedule_file_of
from mbo_search.study.files.schedule_file import load_schedule_file, parse_schedule_file
from mbo_search.testing.runs import build_run


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build_run(tmp_path_factory.mktemp("built") / "run", num_trials=12)


@pytest.mark.parametrize("export_format", ["yaml", "json"])
def test_the_best_schedule_is_exported_without_a_number(built, export_format):
    text = export_schedule(built, None, export_format, built.path)
    file = parse_schedule_file(text, "exported")
    ranking = make_ranking(built)
    assert file.provenance.trial == ranking.verdict.winner_trial
    assert file.schedule.stages == ranking.trials[0].stages
    assert file.study.model == built.study().model


def test_both_formats_hold_the_same(built, tmp_path):
    ranking = make_ranking(built)
    origin = {"study": built.study(), "setup": built.setup(), "where": str(built.path)}
    for row in ranking.trials[:3]:
        wanted = schedule_file_of(ranking, row.trial, **origin)
        for export_format in ("yaml", "json"):
            path = tmp_path / f"{row.trial}.{export_format}"
            path.write_text(export_schedule(built, row.trial, export_format, tmp_path))
            read = load_schedule_file(path)
            created = {"created": wanted.provenance.created}
            assert read.model_copy(update={"provenance": read.provenance.model_copy(update=created)}) == wanted


def test_json_is_strict_json(built):
    constants = []
    document = json.loads(export_schedule(built, None, "json", built.path), parse_constant=constants.append)
    assert constants == []
    assert document["schema_version"] == "mbo-search/schedule/1"


def test_a_run_without_complete_schedules_says_so(tmp_path):
    run = build_run(tmp_path / "run", num_trials=1)
    run.record_file(0).unlink()
    with pytest.raises(RunDirectoryError, match="holds no complete schedule: 0 schedules"):
        export_schedule(run, None, "yaml", run.path)
