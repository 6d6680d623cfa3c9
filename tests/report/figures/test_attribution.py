"""Proves the values behind the figure of what each part is worth: one lane a part that was measured, in order."""

from __future__ import annotations

import json

from mbo_search.report.figures.attribution import attribution_info, draw_attribution
from mbo_search.report.style.i18n import load_strings
from mbo_search.results.evidence.attribution import Attribution, AttributionRow
from mbo_search.results.statistics.paired import paired_test

TEXT = load_strings("en")


def row(trial, part, worth, *, stage=0, adjusted_p=0.5, name="early"):
    test = None if worth is None else paired_test([worth, worth + 0.01, worth - 0.01])
    return AttributionRow(
        stage=stage,
        stage_name=name,
        part=part,
        change="lion -> adamw",
        trial=trial,
        sentence="-",
        test=test,
        adjusted_p=adjusted_p,
    )


FOUND = Attribution(
    trial=3,
    baseline_trial=0,
    rows=(
        row(10, "stage", 0.05, adjusted_p=0.01),
        row(10, "optimizer", 0.05, adjusted_p=0.01),
        row(11, "lr", None),
        row(12, "regularizers", -0.02, stage=1, name="<b>late</b>"),
    ),
)


def test_parts_that_train_alike_take_one_lane_and_failed_ones_none():
    rows = attribution_info(FOUND)
    assert [(one.places, round(one.worth, 9)) for one in rows] == [
        (((0, "early", "stage"), (0, "early", "optimizer")), 0.05),
        (((1, "<b>late</b>", "regularizers"),), -0.02),
    ]
    assert rows[0].low < 0.05 < rows[0].high


def test_nothing_measured_gives_no_lane():
    assert attribution_info(None) == ()


def test_dots_are_filled_where_the_adjusted_p_is_small_and_names_are_escaped():
    figure = draw_attribution(attribution_info(FOUND), names=TEXT["names"], parts=TEXT["parts"])
    symbols = [trace.marker.symbol for trace in figure.data if trace.mode == "markers"]
    assert symbols == ["circle", "circle-open"]
    text = json.dumps([note.text for note in figure.layout.annotations])
    assert "Stage 1 early: whole strategy, optimizer</b>" in text
    assert "&lt;b&gt;late" in text
    low, high = figure.layout.xaxis.range
    assert low < -0.02 < 0.05 < high
