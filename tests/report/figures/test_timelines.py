"""Proves that timelines show the stages where they are trained and the learning rate of each step as it is."""

from __future__ import annotations

import pytest

from mbo_search.report.figures.timelines import draw_timelines, lr_path, timelines_info
from mbo_search.report.style.i18n import load_strings
from mbo_search.study.spec.schedule import LrShape
from mbo_search.study.spec.segments import cut
from mbo_search.testing.records import BUDGET, make_record, make_stage

NAMES = load_strings("en")["names"]


def info(*records):
    losses = {record.trial: record.val_loss for record in records if record.val_loss is not None}
    labels = {record.trial: record.label or "a name" for record in records}
    references = {"adamw": 0.01, "lion": 0.001}
    return timelines_info(records, budget=BUDGET, reference_lrs=references, losses=losses, labels=labels)


def test_stages_lie_end_to_end_on_the_token_axis():
    (row,) = info(make_record(7, make_stage("lion", 0.3), make_stage("adamw", 0.7)))
    assert [(bar.start_tokens, bar.end_tokens) for bar in row.bars] == [(0, 1200), (1200, 4000)]
    assert (row.mark, row.label, row.loss) == ("#7", "a name", 3.0)


def test_heights_compare_learning_rates_by_their_references():
    (row,) = info(make_record(0, make_stage("lion", 0.5, lr=0.002), make_stage("adamw", 0.5, lr=0.01)))
    peaks = [max(height for _, height in bar.path) for bar in row.bars]
    assert peaks == pytest.approx([1.0, 0.5])


def test_an_optimizer_without_reference_fills_its_own_height():
    (row,) = info(make_record(0, make_stage("unknown", 1.0, lr=123.0)))
    assert max(height for _, height in row.bars[0].path) == pytest.approx(1.0)


def test_the_path_holds_the_exact_rates_of_its_steps():
    record = make_record(0, make_stage("adamw", 1.0, shape="linear").model_copy(update={"warmup": 0.1}))
    segments = cut(record.schedule, BUDGET)
    rates = {step * 100: segments[step // 4].lr(step) for step in range(40)}
    path = lr_path(segments)
    assert all(rates[tokens] == lr for tokens, lr in path[:-1])
    assert {300, 400} <= {tokens for tokens, _ in path}, "the corner behind the warm-up is on the path"
    assert path[-1] == (4000, rates[3900])


def test_every_stage_is_drawn_and_every_optimizer_named_once():
    rows = info(
        make_record(0, make_stage("lion", 0.5), make_stage("adamw", 0.5)), make_record(1, make_stage("lion", 1))
    )
    figure = draw_timelines(rows, names=NAMES)
    assert len(figure.data) == 2 * 3, "each stage has a background and its learning rate"
    assert sorted(trace.name for trace in figure.data if trace.showlegend) == ["adamw", "lion"]


def test_a_mean_of_weights_is_drawn_as_the_decay_that_it_imitates():
    average = LrShape(kind="average", hparams={"span": 0.5, "like": "linear"})
    (row,) = info(make_record(0, make_stage("adamw", 1.0).model_copy(update={"lr_shape": average})))
    (bar,) = row.bars
    assert {height for _, height in bar.path} == {1.0}
    assert bar.counted[0] == (0, 1.0)
    assert bar.counted[-1] == (4000, pytest.approx(1 / 20))
    figure = draw_timelines((row,), names=NAMES)
    assert [trace.opacity for trace in figure.data] == [0.2, 0.45, 1.0]
    assert [trace.showlegend for trace in figure.data] == [False, False, True]


def test_names_cannot_become_markup():
    stage = make_stage("adamw", 1.0).model_copy(update={"name": "<a href='javascript:alert(1)'>x</a>"})
    figure = draw_timelines(info(make_record(0, stage)), names=NAMES)
    assert "<a " not in figure.to_json().replace("\\u003c", "<")
