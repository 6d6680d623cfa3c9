"""A run directory stays usable: moved, from any current folder, without the cache, and with relative paths."""

from __future__ import annotations

import shutil

import pytest

from mbo_search.engine.fork import fork_study
from mbo_search.engine.open_run import open_run, reopen_run
from mbo_search.engine.options import RunOptions
from mbo_search.errors import DataError, RunDirectoryError, UserError
from mbo_search.export.replay import replay
from mbo_search.export.sample import sample
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.schedule_file import load_schedule_file
from mbo_search.testing.studies import tiny_study


@pytest.fixture
def moved(run, tmp_path, monkeypatch):
    """A copy of the trained run elsewhere, an empty cache, and another current folder."""
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(tmp_path / "empty"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run.path, tmp_path / "moved")
    return tmp_path / "moved"


def test_sample_makes_the_tokenizer_again(run, moved, cache, monkeypatch):
    again = sample(moved, "the schedule", num_tokens=20)
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(cache))
    assert again == sample(run.path, "the schedule", num_tokens=20)


def test_replay_meets_its_loss_from_there(moved, tmp_path):
    file = load_schedule_file(moved / "best.yaml")
    assert replay(file, cache=tmp_path / "empty", folder=tmp_path / "work").is_equal


def test_sample_names_the_source_that_is_missing(moved, tmp_path):
    file = moved / "study.yaml"
    [source] = RunDirectory.open(moved).study().data.source
    file.write_text(file.read_text().replace(source, str(tmp_path / "gone")))
    with pytest.raises(DataError) as caught:
        sample(moved, "the", num_tokens=2)
    assert caught.value.problems[1].value == str(tmp_path / "gone")


def test_relative_paths_of_a_schedule_file_start_in_its_folder(moved, tmp_path, trained_root, monkeypatch):
    [source] = RunDirectory.open(moved).study().data.source
    shutil.copytree(source, tmp_path / "project" / "texts")
    file = tmp_path / "project" / "best.yaml"
    file.write_text((moved / "best.yaml").read_text().replace(source, "texts"))
    assert load_schedule_file(file).study.data.source == (str(tmp_path / "project" / "texts"),)
    assert replay(load_schedule_file(file), cache=tmp_path / "empty", folder=tmp_path / "work").is_equal


def test_a_study_that_python_made_with_relative_paths_is_found_from_everywhere(tmp_path, monkeypatch):
    study = tiny_study(tmp_path)
    data = study.data.model_copy(update={"source": ("texts",)})
    relative = study.model_copy(update={"data": data})
    options = RunOptions(cache=tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    opened = open_run(relative, tmp_path / "run", options)
    assert opened.study.data.source == (str(tmp_path / "texts"),)
    assert open_run(relative, tmp_path / "run", options).study == opened.study
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "cache")
    again = reopen_run(tmp_path / "run", options, ["search.trials=9"])
    assert again.setup == opened.setup


def test_limits_change_and_forks_are_made_without_the_texts_as_long_as_the_cache_has_them(tmp_path):
    options = RunOptions(cache=tmp_path / "cache")
    open_run(tiny_study(tmp_path), tmp_path / "run", options)
    shutil.move(tmp_path / "texts", tmp_path / "away")
    assert reopen_run(tmp_path / "run", options, ["search.trials=9"]).study.search.trials == 9
    fork_study(tmp_path / "run", tmp_path / "wider", ["model.width=32"], cache=tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(DataError, match="texts"):
        reopen_run(tmp_path / "run", options)
    overrides = [f"data.source=[{tmp_path / 'away'}]"]
    fork_study(tmp_path / "run", tmp_path / "fork", overrides, cache=tmp_path / "cache")
    old, new = (RunDirectory.open(tmp_path / name) for name in ("run", "fork"))
    assert old.setup().root_key(0) == new.setup().root_key(0)


def test_weights_and_requests_in_a_folder_whose_name_is_no_unicode(moved, tmp_path):
    strange = tmp_path / "caf\udce9"
    try:
        moved.rename(strange)
    except OSError:
        pytest.skip("this file system holds names of UTF-8 only")
    assert sample(strange, "the schedule", num_tokens=5)
    with pytest.raises(UserError, match=r"caf\\xe9 holds a byte or character that is not valid UTF-8"):
        sample(strange, "caf\udce9")


def test_ray_is_not_asked_to_work_in_a_folder_whose_name_is_no_unicode(tmp_path):
    study = tiny_study(tmp_path, "resources.workers=2")
    with pytest.raises(RunDirectoryError, match="which Ray cannot use"):
        open_run(study, tmp_path / "caf\udce9", RunOptions(cache=tmp_path / "cache"))
    assert not (tmp_path / "caf\udce9").exists()
