"""Proves that table files are read completely or refused, and that a table's space names what strategies mean."""

from __future__ import annotations

import json

import pytest

from mbo_search.engine.simulation.stage_table import SCHEMA, TableSpace, read_stage_table
from mbo_search.engine.tree.points import all_points
from mbo_search.errors import DataError

OPTIONS = [
    {"optimizer": "adamw", "lr": 1e-3},
    {"optimizer": "adamw", "lr": 4e-3},
    {"optimizer": "sgd", "lr": 0.1, "regularizers": {"z_loss": 1e-4}},
    {"optimizer": "sgd", "lr": 0.1},
]


@pytest.fixture
def content():
    paths = [str(i) for i in range(4)] + [f"{i},{j}" for i in range(4) for j in range(4)]
    return {
        "schema": SCHEMA,
        "name": "small",
        "stages": 2,
        "options": OPTIONS,
        "fields": ["loss", "averaged_loss"],
        "loss": {path: [len(path) + 0.5, 2.0] for path in paths},
    }


def write(folder, content):
    file = folder / "table.json"
    file.write_text(json.dumps(content))
    return file


def test_a_table_is_read_with_the_field_that_was_asked_for(content, tmp_path):
    file = write(tmp_path, content)
    assert read_stage_table(file).losses[(1, 2)] == 3.5
    assert read_stage_table(file, "averaged_loss").losses[(1, 2)] == 2.0


def test_every_schedule_is_a_point_of_the_space_once(content, tmp_path):
    space = TableSpace(read_stage_table(write(tmp_path, content)))
    reached = []
    points = all_points(lambda suggest: reached.append(space(suggest)), 100, num_stages=2)
    assert len(points) == 16
    assert len(set(reached)) == 16


def test_parameters_are_named_by_what_they_mean_and_rates_are_relative(content, tmp_path):
    space = TableSpace(read_stage_table(write(tmp_path, content)))
    points = all_points(space, 100, num_stages=2)
    assert {value for point in points for name, value in point.items() if name == "stage/0/lr_relative/adamw"} == {
        0.5,
        2.0,
    }
    assert {name.split("/", 2)[2] for point in points for name in point} == {
        "optimizer",
        "lr_relative/adamw",
        "regularizers.z_loss/sgd",
    }


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("schema", "other/1", "schema"),
        ("fields", ["accuracy"], "must name 'loss'"),
        ("loss", {"0": [1.0]}, "all 20"),
    ],
)
def test_what_is_no_complete_table_is_refused_with_the_reason(content, tmp_path, key, value, message):
    with pytest.raises(DataError, match=message):
        read_stage_table(write(tmp_path, content | {key: value}))


def test_a_missing_file_is_a_mistake_of_the_user(tmp_path):
    with pytest.raises(DataError, match="readable JSON"):
        read_stage_table(tmp_path / "none.json")
