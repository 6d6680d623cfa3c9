"""Proves that a fork takes over what still holds, says what does not, and leaves the old directory as it was."""

from __future__ import annotations

import json
import shutil

import optuna
import pytest

from mbo_search.engine.fork import fork_study
from mbo_search.engine.run import RunOptions, resume_study, run_study
from mbo_search.errors import RunDirectoryError
from mbo_search.results.records.notes import Note, notes_file, read_notes, write_notes
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.space.ladder import search_spaces
from mbo_search.testing.studies import tiny_study


@pytest.fixture(scope="module")
def old(searched_tiny, tmp_path_factory):
    """A finished run."""
    out = tmp_path_factory.mktemp("old") / "run"
    shutil.copytree(searched_tiny, out)
    return RunDirectory.open(out)


def losses(run):
    return {record.trial: (record.params, record.val_loss) for record in run.records()}


def contents(run):
    return {path: path.stat().st_mtime_ns for path in run.path.rglob("*.json") if path.parent.name != "stages"}


def test_a_fork_with_other_limits_takes_everything_over_and_goes_on(old, tiny_root, tmp_path):
    before = contents(old)
    forked = fork_study(old.path, tmp_path / "new", ["search.trials=8"], cache=tiny_root / "cache")
    assert forked.changes == (("search.trials", "6", "8"),)
    assert (forked.reused, dict(forked.left)) == (tuple(range(6)), {})
    assert forked.num_nodes > 0
    new = RunDirectory.open(tmp_path / "new")
    assert losses(new) == losses(old)
    node = next(old.stages.glob("*/*/weights.safetensors"))
    assert node.samefile(new.stages / node.relative_to(old.stages))
    summary = resume_study(new.path, RunOptions(cache=tiny_root / "cache", backend="local"))
    assert summary.num_complete == 8
    assert losses(old).items() <= losses(new).items()
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{new.database}")
    numbers = {trial.number: trial.user_attrs["trial"] for trial in study.trials}
    told = {record.optuna_number: record.trial for record in new.records() if record.arm == "staged"}
    assert told == numbers
    assert contents(old) == before


def test_trials_outside_a_smaller_space_stay_behind_with_a_reason(old, tiny_root, tmp_path):
    overrides = ["stage_defaults.optimizer=[adamw]", "baselines=[adamw_linear]"]
    forked = fork_study(old.path, tmp_path / "new", overrides, cache=tiny_root / "cache")
    # Without another optimizer the shape is all that can be asked about, so nobody searches it from below.
    searches = search_spaces(RunDirectory.open(tmp_path / "new").study()).keys()
    assert "line" not in searches
    assert "line" in {record.arm for record in old.records()}
    lost = {record.trial for record in old.records() if record.arm not in searches}
    assert set(forked.left) == lost | {one.trial for one in old.records() if "lion" in one.schedule.optimizers}
    assert set(forked.left.values()) == {"the new study would not propose it"}
    assert forked.num_nodes > 0
    assert "baselines.0" in {key for key, _, _ in forked.changes}


@pytest.mark.parametrize(
    ("override", "reason"),
    [("model.width=32", "model, text, evaluation or arithmetic changed"), ("seed=4", "the seed changed")],
)
def test_what_would_be_trained_otherwise_is_not_taken_over(old, tiny_root, tmp_path, override, reason):
    forked = fork_study(old.path, tmp_path / "new", [override], cache=tiny_root / "cache")
    assert forked.reused == ()
    assert set(forked.left.values()) == {reason}
    assert RunDirectory.open(tmp_path / "new").records() == []


def test_a_refusal_names_the_fork(old, tiny_root):
    options = RunOptions(cache=tiny_root / "cache")
    with pytest.raises(RunDirectoryError, match=f"mbo-search fork {old.path} NEWDIR"):
        run_study(tiny_study(tiny_root, "model.width=32"), old.path, options)
    with pytest.raises(RunDirectoryError, match=f"mbo-search fork {old.path} NEWDIR"):
        resume_study(old.path, options, ["model.width=32"])


def test_a_wrong_override_or_an_existing_folder_leaves_nothing_behind(old, tiny_root, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(RunDirectoryError, match="exists already"):
        fork_study(old.path, tmp_path / "there", [], cache=tiny_root / "cache")
    with pytest.raises(Exception, match="model"):
        fork_study(old.path, tmp_path / "new", ["model.width=-1"], cache=tiny_root / "cache")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_moved_directory_goes_on(old, tiny_root, tmp_path):
    before = losses(old)
    moved = old.path.rename(tmp_path / "elsewhere")
    try:
        summary = resume_study(moved, RunOptions(cache=tiny_root / "cache", backend="local"))
        assert summary.num_complete == 6
        assert losses(RunDirectory.open(moved)) == before
    finally:
        moved.rename(old.path)


def test_notes_go_with_the_trials_that_they_are_about(old, tiny_root, tmp_path):
    write_notes(old.path, {0: Note(text="keep this", tags=("a",)), 900: Note(text="of another")})
    try:
        fork_study(old.path, tmp_path / "new", ["search.trials=8"], cache=tiny_root / "cache")
    finally:
        notes_file(old.path).unlink()
    assert read_notes(tmp_path / "new") == {0: Note(text="keep this", tags=("a",))}
    resume_study(tmp_path / "new", RunOptions(cache=tiny_root / "cache", backend="local"))
    assert read_notes(tmp_path / "new") == {0: Note(text="keep this", tags=("a",))}, "a search leaves notes alone"
    rows = json.loads(RunDirectory.open(tmp_path / "new").ranking_json.read_text())["trials"]
    assert {row["trial"]: row["note"] for row in rows if row["note"]} == {0: "keep this"}
