"""A run directory gives back what was written, says what is wrong with foreign ones, and no content crashes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbo_search.errors import RunDirectoryError, StudyError
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.testing.runs import build_records, build_run, make_setup, make_study

STUDY = make_study(2)
BUILT = build_records(STUDY, num_trials=12)


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(tmp_path / "run", STUDY, make_setup(STUDY))


def test_study_setup_records_and_curves_come_back_as_written(run):
    for record, curve in reversed(BUILT):
        run.write_record(record, curve)
    reopened = RunDirectory.open(run.path)
    assert reopened.study() == STUDY
    assert reopened.setup_json() == make_setup(STUDY).recorded().model_dump(mode="json")
    assert reopened.records() == [record for record, _ in BUILT]
    assert [reopened.curve(record.trial) for record, _ in BUILT] == [curve for _, curve in BUILT]


def test_records_are_sorted_by_number_also_above_nine_thousand(run):
    record, curve = BUILT[0]
    for trial in (10_000, 9_999, 2):
        run.write_record(record.model_copy(update={"trial": trial}), curve)
    assert [record.trial for record in run.records()] == [2, 9_999, 10_000]
    assert run.next_trial() == 10_001


def test_a_record_can_be_replaced(run):
    record, curve = BUILT[0]
    run.write_record(record, curve)
    changed = record.model_copy(update={"attempts": 2})
    run.write_record(changed, curve[:1])
    assert run.records() == [changed]
    assert run.curve(record.trial) == curve[:1]


def test_numbers_of_damaged_records_and_of_logs_are_never_used_again(run):
    assert run.next_trial() == 0
    run.trial_log(3).write_text("started")
    (run.trials / "0007.json").write_text("{")
    assert run.next_trial() == 8


def test_damaged_records_are_reported_and_skipped(run, caplog):
    record, curve = BUILT[0]
    run.write_record(record, curve)
    (run.trials / "0001.json").write_text("{")
    (run.trials / "0002.json").write_text(record.model_dump_json())
    assert run.records() == [record]
    problems = [str(problem) for problem in run.scan().problems]
    assert len(problems) == 2
    assert "0001.json: is damaged" in problems[0]
    assert "0002.json: is damaged: it holds #0" in problems[1]
    assert all(problem in caplog.text for problem in problems)


def test_a_record_keeps_the_loss_of_each_judged_document(run):
    record, curve = BUILT[0]
    tokens, nats = (3, 1), (0.1 + 0.2, 1e-17)
    judged = record.model_copy(update={"judged_loss": 0.075, "document_tokens": tokens, "document_nats": nats})
    run.write_record(judged, curve)
    assert run.records() == [judged]


def _hostile(record):
    """Contents of a record file that must be refused, by what is wrong with them."""
    good = json.loads(record.model_dump_json())
    judged = {"judged_loss": 1.0, "document_tokens": [1, 2], "document_nats": [1.0, 2.0]}
    many = {"judged_loss": 1.0, "document_tokens": [1] * 10_001, "document_nats": [1.0] * 10_001}
    return {
        "empty": "",
        "binary": b"\x00\xff\xfe",
        "wrong type": "[]",
        "deeply nested": "[" * 100_000,
        "a huge number": json.dumps({**good, "requested_tokens": 10**300}),
        "infinity": json.dumps({**good, "val_loss": float("inf")}),
        "not a number": json.dumps({**good, "val_loss": float("nan")}),
        "a negative time": json.dumps({**good, "ended_at": -1}),
        "another version": json.dumps({**good, "schema_version": "mbo-search/trial/2"}),
        "an unknown key": json.dumps({**good, "__class__": "os.system"}),
        "no schedule": json.dumps({**good, "schedule": {"stages": []}}),
        "complete without a loss": json.dumps({**good, "val_loss": None}),
        "documents without losses": json.dumps({**good, **judged, "document_nats": []}),
        "losses of fewer documents": json.dumps({**good, **judged, "document_nats": [1.0]}),
        "judged on no documents": json.dumps({**good, "judged_loss": 1.0}),
        "documents without a judgement": json.dumps({**good, **judged, "judged_loss": None}),
        "an infinite document": json.dumps({**good, **judged, "document_nats": [1.0, float("inf")]}),
        "an empty document": json.dumps({**good, **judged, "document_tokens": [1, 0]}),
        "a negative loss of a document": json.dumps({**good, **judged, "document_nats": [1.0, -1.0]}),
        "too many documents": json.dumps({**good, **many}),
        "too large": json.dumps({**good, "message": "x" * 20_000_000}),
    }


@pytest.mark.parametrize("kind", _hostile(BUILT[0][0]))
def test_hostile_records_are_skipped(run, kind):
    content = _hostile(BUILT[0][0])[kind]
    data = content if isinstance(content, bytes) else content.encode()
    (run.trials / "0000.json").write_bytes(data)
    scan = run.scan()
    assert scan.records == ()
    assert scan.problems
    assert all(len(str(problem)) < 1000 for problem in scan.problems)


def test_pipes_and_folders_among_the_records_are_skipped_without_waiting(run):
    os.mkfifo(run.trials / "0000.json")
    (run.trials / "0001.json").mkdir()
    (run.trials / "0002.json").symlink_to("/dev/zero")
    (run.trials / "0003.json").symlink_to(run.trials / "nowhere")
    scan = run.scan()
    assert scan.records == ()
    assert len(scan.problems) == 4


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=10), children, max_size=4),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(field=st.sampled_from(sorted(TrialRecord.model_fields)), value=json_values)
def test_a_record_with_any_value_anywhere_is_read_or_reported(run, field, value):
    good = json.loads(BUILT[0][0].model_dump_json())
    (run.trials / "0000.json").write_text(json.dumps({**good, field: value}))
    scan = run.scan()
    assert len(scan.records) + bool(scan.problems) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_status_and_curve_and_setup_of_any_content_never_crash(run, content):
    for name in ("status.json", "setup.json", "trials/0000.curve.json"):
        (run.path / name).write_bytes(content)
    assert isinstance(run.status(), dict)
    for read in (run.setup_json, lambda: run.curve(0)):
        with suppress(RunDirectoryError):
            assert isinstance(read(), dict | list)


def test_status_values_are_merged(run):
    run.update_status({"finished": False, "wall_seconds": 1.0})
    run.update_status({"finished": True})
    assert run.status() == {"finished": True, "wall_seconds": 1.0}


def test_opening_anything_but_a_run_directory_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError, match="nowhere: does not exist"):
        RunDirectory.open(tmp_path / "nowhere")
    with pytest.raises(RunDirectoryError, match="file: is not a folder"):
        RunDirectory.open(tmp_path / "file")
    with pytest.raises(RunDirectoryError, match=r"holds no study\.yaml"):
        RunDirectory.open(tmp_path)


def test_opening_a_damaged_study_is_a_user_error(run):
    run.study_file.write_text("study: [")
    with pytest.raises(StudyError):
        RunDirectory.open(run.path)
    run.study_file.write_bytes(b"#" * (20 * 2**20))
    with pytest.raises(RunDirectoryError, match="bytes large"):
        RunDirectory.open(run.path)


def test_creating_over_a_study_or_over_foreign_files_is_refused(run, tmp_path):
    with pytest.raises(RunDirectoryError, match="holds a study already"):
        RunDirectory.create(run.path, STUDY, make_setup(STUDY))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.doc").write_text("")
    with pytest.raises(RunDirectoryError, match=r"files of something else: thesis\.doc"):
        RunDirectory.create(foreign, STUDY, make_setup(STUDY))
    assert [path.name for path in foreign.iterdir()] == ["thesis.doc"]


def test_creating_where_nothing_can_be_written_is_a_user_error():
    from pathlib import Path

    with pytest.raises(RunDirectoryError, match="cannot be written"):
        RunDirectory.create(Path("/proc/run"), STUDY, make_setup(STUDY))


def test_a_half_made_directory_is_completed(run):
    run.study_file.unlink()
    again = RunDirectory.create(run.path, STUDY, make_setup(STUDY))
    assert again.study() == STUDY


def test_building_the_same_run_twice_gives_the_same_bytes(tmp_path):
    first, second = (build_run(tmp_path / name, num_trials=8, confirm_seeds=2) for name in "ab")
    names = sorted(path.name for path in first.trials.iterdir())
    assert names == sorted(path.name for path in second.trials.iterdir())
    assert all((first.trials / name).read_bytes() == (second.trials / name).read_bytes() for name in names)


def test_reading_a_run_directory_loads_no_heavy_library():
    code = "import sys, mbo_search.results.records.run_directory\n"
    code += "assert not {'torch', 'pandas', 'ray', 'optuna', 'scipy', 'plotly'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_record_may_name_a_file_whose_name_is_no_unicode(run):
    record, curve = BUILT[0]
    named = record.model_copy(update={"message": "caf\udce9/weights.safetensors: unreadable"})
    run.write_record(named, curve)
    assert run.records() == [named]
