"""Tables hold what the records hold, in documented columns, and can be stored as CSV and Parquet."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from mbo_search.results.evidence.ranking_values import Totals
from mbo_search.results.ranking.frames import (
    CURVE_COLUMNS,
    RANKING_COLUMNS,
    TRIAL_COLUMNS,
    curves_frame,
    ranking_frame,
    trials_frame,
)
from mbo_search.results.ranking.rank import rank
from mbo_search.testing.runs import build_records, make_study

BUILT = build_records(make_study(), num_trials=24, confirm_seeds=2)
RECORDS = [record for record, _ in BUILT]


def test_trials_have_the_documented_columns_then_the_searched_parameters():
    frame = trials_frame(RECORDS)
    names = {name for record in RECORDS for name in record.params}
    assert tuple(frame.columns) == (*TRIAL_COLUMNS, *sorted(names))
    assert frame["trial"].tolist() == [record.trial for record in RECORDS]
    assert frame.loc[5, "stage/0/optimizer"] == RECORDS[5].params["stage/0/optimizer"]
    assert pd.isna(frame.loc[0, "stage/0/optimizer"])


def test_a_parameter_with_numbers_and_names_becomes_text():
    mixed = [
        record.model_copy(update={"params": {"x": value}}) for record, value in zip(RECORDS, [1, "a"], strict=False)
    ]
    assert trials_frame(mixed)["x"].tolist() == ["1", "a"]


def test_parameters_never_replace_a_documented_column():
    record = RECORDS[0].model_copy(update={"params": {"trial": 99, "schedule": "x"}})
    assert tuple(trials_frame([record]).columns) == TRIAL_COLUMNS
    assert trials_frame([record]).loc[0, "trial"] == 0
    assert trials_frame([record]).loc[0, "executed_tokens"] == record.cost.executed_tokens


def test_curves_have_a_row_a_point():
    curves = {record.trial: curve for record, curve in BUILT}
    frame = curves_frame(curves)
    assert tuple(frame.columns) == CURVE_COLUMNS
    assert len(frame) == sum(map(len, curves.values()))
    assert frame[frame["trial"] == 3]["loss"].tolist() == [row.loss for row in curves[3]]


def test_ranking_has_a_row_a_schedule():
    ranking = rank(RECORDS, "s", Totals(), scale="x")
    frame = ranking_frame(ranking)
    assert tuple(frame.columns) == RANKING_COLUMNS
    assert frame["rank"].isna().sum() == sum(row.rank is None for row in ranking.trials)
    assert frame.loc[0, "optimizers"] == ">".join(stage.optimizer for stage in ranking.trials[0].stages)


@pytest.mark.parametrize("records", [RECORDS, []])
def test_tables_survive_parquet(tmp_path, records):
    for name, frame in {
        "trials": trials_frame(records),
        "curves": curves_frame({record.trial: curve for record, curve in BUILT if record in records}),
        "ranking": ranking_frame(rank(records, "s", Totals(), scale="x")),
    }.items():
        path = tmp_path / f"{name}.parquet"
        frame.to_parquet(path)
        pd.testing.assert_frame_equal(pd.read_parquet(path), frame, check_dtype=False)


def test_the_guide_names_the_columns_of_the_ranking_in_their_order():
    guide = (Path(__file__).parents[3] / "docs" / "run-directory.md").read_text()
    listed = guide.partition("`ranking.csv` has a row")[2].partition("\n## ")[0]
    assert tuple(name for name in re.findall(r"`(\w+)`", listed)) == RANKING_COLUMNS
