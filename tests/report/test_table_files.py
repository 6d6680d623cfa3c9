"""Proves that the tables beside a report hold all trials and curves, whatever the study holds."""

from __future__ import annotations

import itertools

import pandas as pd
import pyarrow as pa
from pyarrow import dataset, parquet

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


def schema_of(path):
    return {field.name: str(field.type) for field in parquet.read_schema(path)}


def test_every_table_has_one_schema_whatever_is_in_it(tmp_path):
    """A column without a value would else be of a type of its own, and two runs could not be read as one."""
    study = make_study(3)
    empty = RunDirectory.create(tmp_path / "empty", study, make_setup(study))
    short, full = (
        build_run(tmp_path / "short", num_trials=2),
        build_run(tmp_path / "full", num_trials=24, confirm_seeds=3),
    )
    for run in (empty, short, full):
        write_report(run)
    for table in ("trials", "curves"):
        schemas = [schema_of(run.path / f"{table}.parquet") for run in (empty, short, full)]
        assert "null" not in {kind for schema in schemas for kind in schema.values()}
        for schema in schemas:
            assert schema.items() >= schemas[0].items(), "the empty one has the columns that all have"
        for first, second in itertools.combinations(schemas, 2):
            assert {name: second[name] for name in first if name in second} == {
                name: first[name] for name in first if name in second
            }
    columns = schema_of(empty.path / "trials.parquet")
    assert (columns["trial"], columns["reason"], columns["judged_loss"]) == ("int64", "string", "double")


def test_the_tables_of_two_runs_are_one_data_set(tmp_path):
    runs = [build_run(tmp_path / name, num_trials=count) for name, count in (("a", 2), ("b", 12))]
    for run in runs:
        write_report(run)
    for table in ("trials", "curves"):
        files = [str(run.path / f"{table}.parquet") for run in runs]
        together = dataset.dataset(files).to_table()
        assert together.num_rows == sum(len(pd.read_parquet(file)) for file in files)
        assert len(pd.concat([pd.read_parquet(file) for file in files])) == together.num_rows
        assert pa.concat_tables([parquet.read_table(file) for file in files], promote_options="default").num_rows
