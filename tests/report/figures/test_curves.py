"""Proves that learning curves show the right trials, never hide one silently, and mark where stages change."""

from __future__ import annotations

import math

import pytest

from mbo_search.report.figures.curves import curves_info, draw_curves
from mbo_search.report.style.i18n import load_strings
from mbo_search.study.spec.rungs import RUNGS, Rung
from mbo_search.testing.records import make_record, make_rows, make_stage

NAMES = load_strings("en")["names"]
RUNG_OF: dict[int, Rung] = {**dict.fromkeys(range(90), RUNGS[-1]), 90: "tuned", 91: "untuned"}


def study(num_staged: int):
    records = [
        make_record(trial, make_stage("lion", 0.5), make_stage("adamw", 0.5), loss=3.0 + trial / 10)
        for trial in range(num_staged)
    ]
    records.append(make_record(90, make_stage("adamw", 1.0), arm="tuned", loss=4.0))
    records.append(make_record(91, make_stage("muon", 1.0), arm="baseline", loss=5.0))
    curves = {r.trial: make_rows(r, [6.0, 5.0, 4.5, r.val_loss or 0.0]) for r in records}
    return records, curves


def test_each_rung_counts_its_own_places():
    records, curves = study(3)
    lines = curves_info(records, curves, rungs=RUNG_OF, asked="switch").lines
    assert [(line.owner.trial, line.owner.position) for line in lines] == [(0, 0), (1, 1), (2, 2), (90, 0), (91, 0)]


def test_what_is_not_drawn_is_counted():
    records, curves = study(5)
    del curves[4]
    info = curves_info(records, curves, rungs=RUNG_OF, asked="switch", most_lines=2)
    assert [line.owner.trial for line in info.lines] == [0, 1, 90, 91]
    assert info.num_hidden == 2


def test_the_band_spans_the_middle_of_all_curves():
    records, curves = study(10)
    band = curves_info(records, curves, rungs=RUNG_OF, asked="switch").band
    assert band is not None
    assert band.tokens == (1000, 2000, 3000, 4000)
    ends = sorted(rows[-1].loss for rows in curves.values())
    assert band.low[-1] == pytest.approx(ends[1] + 0.1 * (ends[2] - ends[1]))
    assert band.num_trials == 12


def test_few_curves_have_no_band():
    records, curves = study(1)
    assert curves_info(records, curves, rungs=RUNG_OF, asked="switch").band is None


def test_the_best_schedule_of_the_question_gives_the_stage_lines():
    records, curves = study(2)
    info = curves_info(records, curves, rungs=RUNG_OF, asked="switch")
    assert info.stage_ends == (2000,)
    assert draw_curves(info, names=NAMES).layout.shapes[0].x0 == 2000


def test_a_line_goes_on_where_its_stage_changes():
    records, curves = study(1)
    figure = draw_curves(curves_info(records, curves, rungs=RUNG_OF, asked="switch"), names=NAMES)
    first, second = (trace for trace in figure.data if trace.meta["place"] == 0 and trace.meta.get("few") is False)
    assert (first.x[-1], first.y[-1]) == (second.x[0], second.y[0])
    assert (first.line.color, second.line.color) == ("var(--opt-lion)", "var(--opt-adamw)")
    assert second.y[-1] == pytest.approx(math.exp(3.0), rel=1e-4)


def test_a_diverged_curve_does_not_break_the_figure():
    record = make_record(0, make_stage("lion", 1.0), loss=900.0)
    info = curves_info([record], {0: make_rows(record, [5.0, 700.0, 900.0])}, rungs=RUNG_OF, asked="switch")
    assert "Infinity" not in draw_curves(info, names=NAMES).to_json()


def test_a_confirmed_schedule_is_the_mean_of_its_fresh_seeds_with_their_range():
    records, curves = study(2)
    runs = [
        make_record(100 + seed, make_stage("lion", 0.5), make_stage("adamw", 0.5), arm="confirm", loss=3.0 + seed)
        for seed in (1, 2)
    ]
    curves |= {run.trial: make_rows(run, [6.0, 5.0, 4.5, run.val_loss or 0.0]) for run in runs}
    info = curves_info(records, curves, rungs=RUNG_OF, asked="switch", fresh={0: runs})
    confirmed, other = info.lines[:2]
    assert (confirmed.rows[-1].loss, confirmed.lowest[-1], confirmed.highest[-1]) == (4.5, 4.0, 5.0)
    assert (other.rows[-1].loss, other.lowest) == (3.1, ())
    bands = [
        trace for trace in draw_curves(info, names=NAMES).data if trace.fill == "toself" and trace.opacity < 0.2
    ]
    assert len(bands) == 1
    assert max(bands[0].y) == pytest.approx(math.exp(6.0), rel=1e-4)
