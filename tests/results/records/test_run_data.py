"""A run finds its data again: in the cache, or made anew from its sources; what is missing or changed is named."""

from __future__ import annotations

import shutil

import pytest

from mbo_search.data.prepare import prepare
from mbo_search.errors import DataError
from mbo_search.results.records.run_data import (
    cached_data,
    data_again,
    metadata_of,
    record_metadata,
    recorded_metadata,
    same_data,
)
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.system.files import read_json, write_json
from mbo_search.testing.studies import tiny_study
from mbo_search.train.setup.resolve import resolve_setup


@pytest.fixture
def root(tmp_path):
    """Texts, a cache and a run directory of a study that has trained nothing yet."""
    study = tiny_study(tmp_path)
    prepared = prepare(study.data, tmp_path / "cache")
    run = RunDirectory.create(tmp_path / "run", study, resolve_setup(study, prepared, workers=1))
    record_metadata(run, prepared.metadata)
    return tmp_path


def run_in(root):
    return RunDirectory.open(root / "run")


def text_of(root):
    return next(path for path in sorted(root.rglob("*.txt")) if "run" not in path.parts)


def test_setup_names_the_folder_of_the_data_without_the_place_of_the_cache(root):
    [folder] = [entry for entry in (root / "cache").iterdir() if not entry.name.startswith(".")]
    assert read_json(root / "run" / "setup.json")["data_folder"] == folder.name
    assert str(root / "cache") not in "".join(file.read_text() for file in (root / "run").glob("*.json"))
    assert cached_data(run_in(root).setup(), root / "cache").folder == folder


def test_a_setup_of_an_earlier_version_leads_to_the_data_by_its_whole_path(root):
    run = run_in(root)
    old = run.setup_json() | {"data_folder": str(root / "cache" / run.setup().data_folder)}
    write_json(run.path / "setup.json", old)
    assert cached_data(run_in(root).setup(), root / "nowhere").metadata.fingerprint == run.setup().data_fingerprint
    shutil.move(root / "cache", root / "moved")
    assert cached_data(run_in(root).setup(), root / "cache") is None
    assert cached_data(run_in(root).setup(), root / "moved") is not None


def test_data_of_another_fingerprint_under_the_same_name_are_not_taken(root):
    setup = run_in(root).setup().model_copy(update={"data_fingerprint": "0" * 64})
    assert cached_data(setup, root / "cache") is None


def test_data_are_made_again_from_their_sources_when_the_cache_is_gone(root):
    shutil.rmtree(root / "cache")
    run = run_in(root)
    assert same_data(run, root / "cache").metadata == recorded_metadata(run)


def test_a_missing_source_is_named_with_what_to_do(root):
    shutil.rmtree(root / "cache")
    run = run_in(root)
    for source in run.study().data.source:
        shutil.move(source, root / "away")
    with pytest.raises(DataError) as caught:
        same_data(run, root / "cache")
    first, second = caught.value.problems
    assert first.where == str(run.path)
    assert str(root / "cache") in first.rule
    assert f"mbo-search fork {run.path} {run.path}-moved --set 'data.source=[FILES]'" in first.hint
    assert (second.key, second.value) == ("data.source.0", run.study().data.source[0])
    assert "does not exist" in second.rule


def test_a_changed_source_is_named(root):
    shutil.rmtree(root / "cache")
    run = run_in(root)
    with text_of(root).open("a") as file:
        file.write("\n\nAnother paragraph that nobody has seen before, long enough to be kept as a document.\n")
    assert data_again(run, run.study(), root / "cache").metadata.fingerprint != run.setup().data_fingerprint
    with pytest.raises(DataError) as caught:
        same_data(run, root / "cache")
    first, second = caught.value.problems
    assert "made again it has other tokens" in first.rule
    assert second.rule == "is not as it was when the study began"
    assert second.value == recorded_metadata(run).sources[0].name


def test_a_run_of_an_earlier_version_knows_its_data_from_the_cache(root):
    run = run_in(root)
    known = recorded_metadata(run)
    run.data_json.unlink()
    assert metadata_of(run, root / "cache") == known
    shutil.rmtree(root / "cache")
    assert metadata_of(run, root / "cache") is None
    with text_of(root).open("a") as file:
        file.write("\n\nAnother paragraph that nobody has seen before, long enough to be kept as a document.\n")
    with pytest.raises(DataError, match="give other tokens than when the study began"):
        same_data(run, root / "cache")


def test_a_card_of_other_data_is_not_believed(root):
    run = run_in(root)
    write_json(run.data_json, read_json(run.data_json) | {"fingerprint": "0" * 64})
    assert recorded_metadata(run) is None
    run.data_json.write_text("{")
    assert recorded_metadata(run) is None


def test_relative_paths_in_a_run_directory_start_there(root, monkeypatch):
    run = run_in(root)
    [source] = run.study().data.source
    run.study_file.write_text(run.study_file.read_text().replace(source, "texts"))
    monkeypatch.chdir(root.parent)
    assert run_in(root).study().data.source == (str(run.path / "texts"),)
