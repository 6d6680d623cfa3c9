"""Proves the values behind the figures of the space: parallel lines, slices, importance, Pareto front, tree."""

from __future__ import annotations

import math

import pytest

from mbo_search.advising.importance import importance_of, points_of
from mbo_search.report.figures.importance import draw_importance
from mbo_search.report.figures.parallel import MISSING_LANE, draw_parallel, parallel_info
from mbo_search.report.figures.pareto import draw_pareto, pareto_info
from mbo_search.report.figures.slices import slice_data, slices_info
from mbo_search.report.figures.tree import draw_tree, tree_info
from mbo_search.report.style.i18n import load_strings
from mbo_search.study.space.space import parameters, staged_space
from mbo_search.testing.records import BUDGET, make_record, make_stage
from mbo_search.testing.runs import build_records, make_study

NAMES = load_strings("en")["names"]


def with_params(record, **params):
    return record.model_copy(update={"params": {key.replace("__", "/"): value for key, value in params.items()}})


def searched():
    """Four schedules: two optimizers, a setting that only one of them has."""
    rows = [("adamw", 0.1, 0.9), ("adamw", 1.0, 0.99), ("lion", 0.1, None), ("lion", 1.0, None)]
    found = []
    for trial, (optimizer, lr, beta2) in enumerate(rows):
        params = {"stage__0__optimizer": optimizer, "stage__0__lr_relative": lr}
        if beta2 is not None:
            params["stage__0__adamw__beta2"] = beta2
        found.append(with_params(make_record(trial, make_stage(optimizer, 1.0), loss=3.0 + trial / 10), **params))
    return found


def test_settings_that_a_schedule_lacks_lie_in_the_lane_of_their_own():
    info = parallel_info(searched(), importance={})
    assert info is not None
    beta2 = [axis.parameter for axis in info.axes].index("stage/0/adamw/beta2")
    assert [line.heights[beta2] for line in info.lines] == [0.0, 1.0, MISSING_LANE, MISSING_LANE]
    assert info.lines[2].labels[beta2] == "\u2013"


def test_choices_and_logarithms_spread_over_their_axes():
    info = parallel_info(searched(), importance={})
    assert info is not None
    names = [axis.parameter for axis in info.axes]
    assert names[:2] == ["stage/0/optimizer", "stage/0/lr_relative"]
    assert [line.heights[0] for line in info.lines] == [0.0, 0.0, 1.0, 1.0]
    middle = with_params(
        make_record(9, make_stage("lion", 1.0), loss=9.0),
        stage__0__optimizer="lion",
        stage__0__lr_relative=math.sqrt(0.1),
    )
    again = parallel_info([*searched(), middle], importance={})
    assert again is not None
    assert again.lines[-1].heights[1] == pytest.approx(0.5)
    assert again.lines[-1].heights[-1] == 1.0, "a hopeless loss meets the top of its axis"


def test_the_least_important_axes_are_left_out_and_counted():
    info = parallel_info(searched(), importance={"stage/0/adamw/beta2": 0.7, "stage/0/optimizer": 0.2}, most_axes=2)
    assert info is not None
    assert [axis.parameter for axis in info.axes] == ["stage/0/optimizer", "stage/0/adamw/beta2"]
    assert info.num_hidden_axes == 1


def test_shares_of_the_best_hold_every_line_once():
    many = [
        with_params(
            make_record(t, make_stage("lion", 1.0), loss=3.0 + t / 100), stage__0__lr_relative=0.1 * (t + 1)
        )
        for t in range(40)
    ]
    info = parallel_info(many, importance={})
    assert info is not None
    assert [sum(line.share == share for line in info.lines) for share in (5, 10, 20, 30, 50, 75, 100)] == [
        2,
        2,
        4,
        4,
        8,
        10,
        10,
    ]
    drawn = draw_parallel(info, names=NAMES)
    assert sum(trace.x.count(None) for trace in drawn.data) == 40


def test_one_schedule_has_no_parallel_coordinates():
    assert parallel_info(searched()[:1], importance={}) is None


def test_slices_hold_every_value_and_every_gap():
    info = slices_info(searched(), importance={"stage/0/adamw/beta2": 1.0}, stage_names=["warm"])
    assert info is not None
    data = slice_data(info, {})
    assert data["axes"][0]["label"] == "warm: adamw beta2"
    assert data["axes"][0]["values"] == [0.9, 0.99, None, None]
    assert data["trials"] == [0, 1, 2, 3]


def test_the_front_holds_what_nothing_beats_in_both():
    losses = {0: 3.0, 1: 3.5, 2: 2.5, 3: 2.6}
    records = [make_record(trial, make_stage("lion", 1.0), loss=loss) for trial, loss in losses.items()]
    info = pareto_info(records, {record.trial: "switch" for record in records})
    assert info is not None
    assert list(info.costs) == ["train_seconds"], "equal costs are nothing to compare"
    assert [records[index].trial for index in info.fronts["train_seconds"]] == [0, 2]
    figure = draw_pareto(info, names=NAMES)
    assert list(figure.data[-1].x) == [10.0, 12.0]


def test_schedules_that_begin_alike_share_a_block():
    trunk = make_stage("lion", 0.4)
    info = tree_info(
        [
            make_record(0, trunk, make_stage("adamw", 0.6, lr=0.01), loss=3.0),
            make_record(1, trunk, make_stage("adamw", 0.6, lr=0.02), loss=3.2),
            make_record(2, make_stage("muon", 1.0), loss=3.1),
        ],
        budget=BUDGET,
    )
    assert info is not None
    blocks = {(block.start_tokens, block.end_tokens, block.trials) for block in info.blocks}
    assert blocks == {(0, 1600, (0, 1)), (1600, 4000, (0,)), (1600, 4000, (1,)), (0, 4000, (2,))}
    assert info.shared_tokens == 1600
    assert info.executed_tokens + info.shared_tokens == 3 * 4000


def test_a_longer_stage_shares_the_beginning_of_a_shorter_one():
    info = tree_info(
        [
            make_record(0, make_stage("lion", 0.3), make_stage("adamw", 0.7)),
            make_record(1, make_stage("lion", 0.5), make_stage("adamw", 0.5)),
        ],
        budget=BUDGET,
    )
    assert info is not None
    assert info.shared_tokens == 1200


def test_unfinished_schedules_count_as_far_as_they_came():
    info = tree_info([make_record(0, make_stage("lion", 1.0), loss=None, tokens=1300)], budget=BUDGET)
    assert info is not None
    (block,) = info.blocks
    assert (block.end_tokens, block.best_loss) == (1200, None)
    assert draw_tree(info, names=NAMES).data[0].marker.color == ("var(--raised)",)


def test_rows_of_the_tree_do_not_overlap():
    records = [
        make_record(
            trial, make_stage("lion", 0.4, lr=0.01 * (1 + trial % 3)), make_stage("adamw", 0.6, lr=0.001 * trial)
        )
        for trial in range(1, 12)
    ]
    info = tree_info(records, budget=BUDGET, most_trials=10)
    assert info is not None
    assert info.num_hidden == 1
    covered = [
        (block.first_row + row, segment)
        for block in info.blocks
        for row in range(len(block.trials))
        for segment in range(block.start_tokens, block.end_tokens, BUDGET.segment_tokens)
    ]
    assert len(covered) == len(set(covered)) == 10 * BUDGET.num_segments


def staged_records(num_trials):
    study = make_study(3)
    records = [
        record for record, _ in build_records(study, num_trials=num_trials, seed=1) if record.arm == "staged"
    ]
    return records, parameters(staged_space(study))


def _importance(records, space):
    return importance_of(points_of(records), space)


def test_importances_sum_to_one_and_lie_by_stage():
    info = _importance(*staged_records(48))
    assert info is not None
    assert sum(share for _, _, share in info.shares) == pytest.approx(1.0)
    assert [stage for stage, _, _ in info.shares] == sorted(stage for stage, _, _ in info.shares)
    assert sum(info.of_stage(stage) for stage in (0, 1, 2)) == pytest.approx(1.0)
    assert draw_importance(info, stage_names=["a", "b", "c"], names=NAMES).data[0].x


def test_few_trials_have_no_importances():
    assert _importance(*staged_records(12)) is None


def test_a_setting_that_one_schedule_alone_has_is_counted_in_silence(recwarn, capfd):
    records, space = staged_records(48)
    rare = next(p.name for p in space if not p.choices)
    kept = [r.model_copy(update={"params": {k: v for k, v in r.params.items() if k != rare}}) for r in records[:-1]]
    info = _importance([*kept, records[-1]], space)
    assert info is not None
    assert rare in {name for _, name, _ in info.shares}
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")


def test_values_from_another_version_of_the_space_are_left_out():
    records, space = staged_records(48)
    changed = [r.model_copy(update={"params": {**r.params, space[0].name: "something else"}}) for r in records[:4]]
    info = _importance([*changed, *records[4:]], space)
    assert info is not None
    assert info.num_trials == sum(record.val_loss is not None for record in records)
