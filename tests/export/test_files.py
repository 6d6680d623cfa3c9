"""Exported files, YAML or JSON, hold the schedule with its study and origin, and read back equal."""

from __future__ import annotations

import json

import jsonschema
import pytest

from mbo_search.errors import RunDirectoryError, UserError
from mbo_search.export.exporters import ExporterDefinition
from mbo_search.export.files import Chosen, export_schedules
from mbo_search.export.request import Written
from mbo_search.extensions import with_extensions
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.ranking.provenance import schedule_file_of
from mbo_search.study.files.schedule_file import load_schedule_file, parse_schedule_file
from mbo_search.study.files.schema import schedule_schema
from mbo_search.study.files.yaml_document import read_document
from mbo_search.testing.runs import build_run


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build_run(tmp_path_factory.mktemp("built") / "run", num_trials=12)


def text_of(run, trial, form, folder):
    out = folder / f"{trial}.{form}"
    (exported,) = export_schedules(run, Chosen(trial=trial), form, out)
    assert exported.files == (out,)
    assert exported.remarks == ()
    return out.read_text(encoding="utf-8")


@pytest.mark.parametrize("export_format", ["yaml", "json"])
def test_the_best_schedule_is_exported_without_a_number(built, export_format, tmp_path):
    file = parse_schedule_file(text_of(built, None, export_format, tmp_path), "exported")
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
            text_of(built, row.trial, export_format, tmp_path)
            read = load_schedule_file(tmp_path / f"{row.trial}.{export_format}")
            created = {"created": wanted.provenance.created}
            assert read.model_copy(update={"provenance": read.provenance.model_copy(update=created)}) == wanted


def test_exports_obey_the_published_schema(built, tmp_path):
    validator = jsonschema.Draft202012Validator(schedule_schema())
    for row in make_ranking(built).trials:
        if row.state == "complete":
            document = json.loads(text_of(built, row.trial, "json", tmp_path))
            assert [error.message for error in validator.iter_errors(document)] == []
            written = read_document(text_of(built, row.trial, "yaml", tmp_path), "").value
            assert [error.message for error in validator.iter_errors(written)] == []
    assert not validator.is_valid({**document, "schedule": {"stages": []}, "unheard_of": 1})


def test_json_is_strict_json(built, tmp_path):
    constants = []
    document = json.loads(text_of(built, None, "json", tmp_path), parse_constant=constants.append)
    assert constants == []
    assert document["schema_version"] == "mbo-search/schedule/1"


def test_a_run_without_complete_schedules_says_so(tmp_path):
    run = build_run(tmp_path / "run", num_trials=1)
    run.record_file(0).unlink()
    with pytest.raises(RunDirectoryError, match="holds no complete schedule: 0 schedules"):
        export_schedules(run, Chosen(), "yaml", tmp_path / "best.yaml")


def test_the_best_ones_each_get_a_path_of_their_own(built, tmp_path):
    exports = export_schedules(built, Chosen(top=3), None, tmp_path / "best.json")
    ranked = [row for row in make_ranking(built).trials if row.rank is not None]
    assert [one.trial for one in exports] == [row.trial for row in ranked[:3]]
    assert [one.out.name for one in exports] == ["best-1.json", "best-2.json", "best-3.json"]
    assert [load_schedule_file(one.out).provenance.trial for one in exports] == [one.trial for one in exports]


@pytest.mark.parametrize(
    ("chosen", "rule"), [(Chosen(top=999), "must lie between 1 and"), (Chosen(trial=0, top=1), "beside")]
)
def test_what_cannot_be_chosen_is_refused_before_anything_is_written(built, tmp_path, chosen, rule):
    with pytest.raises(UserError, match=rule):
        export_schedules(built, chosen, "yaml", tmp_path / "best.yaml")
    assert list(tmp_path.iterdir()) == []


def test_a_format_may_write_files_itself_and_say_what_it_cannot_express(built, tmp_path):
    def write(request):
        request.out.mkdir()
        (request.out / "loss").write_text(str(request.file.provenance.val_loss))
        return Written(files=(request.out, request.out / "loss"), remarks=("no dropout here",), next="look")

    form = ExporterDefinition(name="loss-folder", summary="a folder", write=write, is_folder=True)
    with with_extensions(form):
        (exported,) = export_schedules(built, Chosen(), "loss-folder", tmp_path / "out")
        assert exported.files == (tmp_path / "out", tmp_path / "out" / "loss")
        assert (exported.form, exported.remarks, exported.next) == ("loss-folder", ("no dropout here",), "look")
        (tmp_path / "file").touch()
        with pytest.raises(UserError, match="is a file; loss-folder is a folder"):
            export_schedules(built, Chosen(), "loss-folder", tmp_path / "file")
    with pytest.raises(UserError, match="is a folder; yaml is a file"):
        export_schedules(built, Chosen(), "yaml", tmp_path / "out")


@pytest.mark.parametrize("given", [{}, {"export": str, "write": str}])
def test_a_format_has_one_way_to_be_written(given):
    with pytest.raises(UserError, match="either `export` or `write`"):
        ExporterDefinition(name="odd", summary="odd", **given)
