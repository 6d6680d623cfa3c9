"""Proves that the tables beside a report hold all trials and curves, whatever the study holds."""

from __future__ import annotations

import pandas as pd

from mbo_search.report.page.page import write_report
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.testing.runs import build_run, make_setup, make_study


def test_all_trials_and_curves_can_be_read_with_pandas(tmp_path):
    run = build_run(tmp_path / "run", num_trials=12, confirm_seeds=2)
    write_report(run)
    trials = pd.read_parquet(run.path / "trials.parquet")
    curves = pd.read_parquet(run.path / "curves.parquet")
    records = run.records()
    assert trials["trial"].tolist() == [record.trial for record in records]
    best = trials.sort_values("val_loss").iloc[0]
    assert best["val_loss"] == min(record.val_loss for record in records if record.val_loss is not None)
    assert [len(run.curve(record.trial)) for record in records] == [
        int((curves["trial"] == record.trial).sum()) for record in records
    ]


def test_a_page_of_another_name_keeps_its_own_tables(tmp_path):
    run = build_run(tmp_path / "run", num_trials=4)
    write_report(run, tmp_path / "monday.html")
    assert sorted(path.name for path in tmp_path.glob("*.parquet")) == [
        "monday.curves.parquet",
        "monday.trials.parquet",
    ]
    assert not list(run.path.glob("*.parquet"))


def test_an_empty_study_has_empty_tables(tmp_path):
    study = make_study(3)
    run = RunDirectory.create(tmp_path / "run", study, make_setup(study))
    write_report(run)
    assert pd.read_parquet(run.path / "trials.parquet").empty
    assert "loss" in pd.read_parquet(run.path / "curves.parquet").columns
