"""Proves that a run is seen as it is, at any moment, and is left as it was."""

from __future__ import annotations

import os
import time

import pytest

from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.serve.rationed import Paced, Rationed
from mbo_search.serve.shelf import RunShelf, address_name
from mbo_search.serve.watched_run import WatchedRun
from mbo_search.testing.runs import build_records, build_run, make_setup, make_study


@pytest.fixture
def begun(tmp_path) -> RunDirectory:
    """A run directory of a search that has begun."""
    study = make_study(2)
    study = study.model_copy(update={"search": study.search.model_copy(update={"trials": 12})})
    return RunDirectory.create(tmp_path / "run", study, make_setup(study))


def all_files(folder):
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_a_run_is_preparing_running_and_stopped_or_ended(tmp_path, begun):
    assert WatchedRun(tmp_path / "nothing").look().state == "preparing"
    watched = WatchedRun(begun.path)
    assert watched.look().state == "stopped"
    with begun.lock():
        assert watched.look().state == "running"
    begun.update_status({"finished": True})
    assert watched.look().state == "ended"
    assert watched.look().is_final


def test_what_has_ended_is_counted_and_the_version_follows(begun):
    watched = WatchedRun(begun.path)
    first = watched.look()
    assert (first.searched, first.planned, first.judged, first.updated) == (0, 12, 0, None)
    built = build_records(begun.study(), num_trials=12, confirm_seeds=2)
    for record, curve in built:
        before = watched.look().version
        begun.write_record(record, curve)
        assert watched.look().version != before
    seen = watched.look()
    assert seen.version == watched.look().version
    assert seen.searched == sum(record.is_search for record, _ in built)
    assert seen.judged == sum(not record.is_search for record, _ in built)
    assert seen.updated is not None


def test_a_probe_is_no_schedule_and_an_interrupted_trial_is_open(begun):
    (whole, curve), (other, _) = build_records(begun.study(), num_trials=2)
    begun.write_record(whole, curve)
    nothing = {"val_loss": None, "accuracy": None, "bits_per_byte": None}
    begun.write_record(other.model_copy(update={**nothing, "state": "pruned", "reason": "probe"}), [])
    (begun.trials / "0001.task.json").write_text("{}")
    (begun.trials / "0002.task.json").write_text("{}")
    watched = WatchedRun(begun.path)
    assert (watched.look().searched, watched.look().open) == (1, 1)
    begun.write_record(other.model_copy(update={**nothing, "state": "interrupted", "reason": "signal"}), [])
    assert (watched.look().searched, watched.look().open) == (1, 2)


def test_status_and_sessions_alone_are_nothing_new(begun):
    watched = WatchedRun(begun.path)
    before = watched.look().version
    begun.update_status({"wall_seconds": 5.0})
    (begun.path / "session.json").write_text("{}")
    assert watched.look().version == before


def test_looking_writes_nothing_and_takes_no_lock(begun):
    before = all_files(begun.path)
    with begun.lock():
        WatchedRun(begun.path).look()
    WatchedRun(begun.path).look()
    changed = {path for path, _ in set(all_files(begun.path)) ^ set(before)}
    assert changed <= {str(begun.path), str(begun.path / "lock")}, "the driver's own lock aside"


def test_half_a_record_is_passed_over_until_it_is_whole(begun):
    (record, curve), *_ = build_records(begun.study(), num_trials=2)
    begun.record_file(0).write_text(record.model_dump_json()[:200])
    watched = WatchedRun(begun.path)
    assert watched.look().searched == 0
    begun.write_record(record, curve)
    assert watched.look().searched == 1


def test_a_damaged_study_is_said_to_be_unreadable(begun):
    begun.study_file.write_text("stages: [")
    assert WatchedRun(begun.path).look().state == "unreadable"


def test_independent_repeats_are_counted_too(tmp_path):
    run = build_run(tmp_path / "run", num_trials=12)
    study = run.study()
    search = study.search.model_copy(update={"repeats": 2, "trials": 12})
    run.write_study(study.model_copy(update={"search": search}))
    build_run(run.path / "repeats" / "02", num_trials=12)
    seen = WatchedRun(run.path).look()
    assert (seen.searched, seen.planned) == (24, 24)


def test_the_shelf_finds_runs_in_folders_and_new_ones_later(tmp_path):
    build_run(tmp_path / "a", num_trials=2)
    build_run(tmp_path / "group" / "b", num_trials=2)
    build_run(tmp_path / "a" / "repeats" / "02", num_trials=2)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "notes.txt").write_text("")
    shelf = RunShelf([tmp_path])
    assert sorted(path.name for path in shelf.runs().values()) == ["a", "b"]
    build_run(tmp_path / "c", num_trials=2)
    assert sorted(path.name for path in shelf.runs().values()) == ["a", "b", "c"]
    assert shelf.only is None
    assert RunShelf([tmp_path / "a"]).only == address_name(tmp_path / "a")


def test_an_empty_folder_is_a_list_without_runs(tmp_path):
    shelf = RunShelf([tmp_path])
    assert (shelf.runs(), shelf.only) == ({}, None)
    build_run(tmp_path / "first", num_trials=2)
    assert (len(shelf.runs()), shelf.only) == (1, None)


def test_a_run_that_is_still_to_be_made_has_its_place(tmp_path):
    shelf = RunShelf([tmp_path / "soon"])
    assert list(shelf.runs()) == [shelf.only]


def test_names_in_addresses_are_plain_whatever_the_folder_is_called(tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9 <b>")
    assert address_name(odd).startswith("caf-b-")
    assert address_name(tmp_path / "a") != address_name(tmp_path / "b" / "a")


def test_a_costly_look_is_not_repeated_at_once():
    looks = []

    def look() -> int:
        began = time.thread_time()
        while time.thread_time() - began < 0.02:
            pass
        looks.append(1)
        return len(looks)

    paced = Paced(look)
    assert (paced.get(), paced.get()) == (1, 1)
    time.sleep(0.5)
    assert paced.get() == 2


def test_work_is_done_for_new_versions_only_and_not_too_often():
    made = []

    def make() -> int:
        made.append(1)
        return len(made)

    rationed = Rationed(make, least_seconds=1000.0)
    assert rationed.offered("a") == "a"
    assert rationed.get("a") == rationed.get("a") == 1
    assert rationed.offered("b") == "a", "not yet"
    assert rationed.get("b") == 1
    at_once = Rationed(make, least_seconds=0.0)
    assert at_once.get("a") == 2
    time.sleep(0.05)
    assert at_once.get("b") == 3
    assert at_once.version == "b"
