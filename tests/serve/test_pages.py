"""Proves that pages are made of whatever a run directory holds at the moment, and only when something is new."""

from __future__ import annotations

import pytest

from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.serve import pages as pages_module
from mbo_search.serve.pages import LivePages
from mbo_search.serve.shelf import RunShelf, address_name
from mbo_search.testing.runs import build_records, build_run, make_setup, make_study


@pytest.fixture
def begun(tmp_path) -> RunDirectory:
    study = make_study(2)
    return RunDirectory.create(tmp_path / "run", study, make_setup(study))


def served(run: RunDirectory, language="en") -> tuple[LivePages, str]:
    return LivePages(RunShelf([run.path]), language), address_name(run.path)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_search_without_a_trial_has_a_page(begun, language):
    pages, name = served(begun, language)
    report = pages.report(name)
    assert report is not None
    assert f'<html lang="{language}' in report
    assert 'id="ranking"' in report
    assert 'id="words"' in (pages.frame(name) or "")


def test_the_report_is_the_page_that_a_file_would_be(tmp_path):
    run = build_run(tmp_path / "run", num_trials=12)
    pages, name = served(run)
    report = pages.report(name) or ""
    assert "default-src" in report
    assert "connect-src" not in report
    assert "fetch(" not in report.rpartition("</script>")[0].rpartition("<script>")[2]


def test_a_page_is_made_once_for_a_version(tmp_path, monkeypatch):
    run = build_run(tmp_path / "run", num_trials=12)
    pages, name = served(run)
    made = []
    real = pages_module.render_report
    monkeypatch.setattr(pages_module, "render_report", lambda *a, **k: made.append(1) or real(*a, **k))
    assert pages.report(name) == pages.report(name)
    state = pages.state(name)
    assert state is not None
    assert state["final"] is True
    assert len(made) == 1


def test_half_a_record_is_named_on_the_page(begun):
    (record, curve), (other, _) = build_records(begun.study(), num_trials=2)
    begun.write_record(record, curve)
    begun.record_file(1).write_text(other.model_dump_json()[:100])
    pages, name = served(begun)
    assert "0001.json" in (pages.report(name) or "")


def test_what_cannot_be_read_is_said_with_its_place(begun):
    (begun.path / "setup.json").write_text("<script>alert(1)</script>")
    pages, name = served(begun)
    report = pages.report(name) or ""
    assert "setup.json" in report
    assert "<script>alert" not in report


def test_a_page_that_fails_leaves_the_last_sound_one(begun, monkeypatch):
    pages, name = served(begun)
    monkeypatch.setattr(pages_module, "_PAGE_SECONDS", 0.0)
    sound = pages.report(name)

    def broken(*arguments, **options):
        raise RuntimeError("a file was replaced meanwhile")

    monkeypatch.setattr(pages_module, "render_report", broken)
    kept = pages._kept[name].page
    kept._next_at = 0.0
    record, curve = build_records(begun.study(), num_trials=1)[0]
    begun.write_record(record, curve)
    assert pages.report(name) == sound
    fresh, _ = served(begun)
    assert "could not be made" in (fresh.report(name) or "")


def test_names_of_studies_and_folders_are_shown_as_text(tmp_path):
    run = build_run(tmp_path / "<b>bold", num_trials=4)
    rows = LivePages(RunShelf([tmp_path])).rows()
    assert "&lt;b&gt;bold" in rows
    assert "<b>bold" not in rows
    assert address_name(run.path) in rows


def test_an_unknown_run_has_no_pages(begun):
    pages, _ = served(begun)
    assert (pages.report("x"), pages.frame("x"), pages.state("x")) == (None, None, None)
