"""Proves that the page holds each schedule that it can draw once, with its seeds and its stages."""

from __future__ import annotations

import dataclasses
import json

import pytest

from mbo_search.report.schedules.lines import MOST_ASKED, MOST_OTHERS, schedule_lines
from mbo_search.report.source import read_source
from mbo_search.testing.runs import build_run


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return read_source(build_run(tmp_path_factory.mktemp("lines") / "run", num_trials=40, confirm_seeds=6))


def test_the_best_of_each_rung_come_first_with_their_fresh_seeds(source):
    found = schedule_lines(source)
    assert found["finished"] == len(source.finished())
    best = found["lines"][0]
    assert best["trial"] == source.ranked[0].trial
    assert best["fresh_seeds"] == [run.seed for run in source.fresh[best["trial"]]]
    runs = [source.curves[run.trial][-1].loss for run in source.fresh[best["trial"]]]
    last = {key: values[-1] for key, values in best["fresh_points"]["loss"].items()}
    assert last["mean"] == pytest.approx(sum(runs) / len(runs), rel=1e-4)
    assert last["low"] == pytest.approx(min(runs), rel=1e-4)
    assert last["high"] == pytest.approx(max(runs), rel=1e-4)


def test_a_stage_says_where_it_lies_and_how_high_its_rate_stands(source):
    for line in schedule_lines(source)["lines"]:
        ends = [(start, end) for _, _, start, end, *_ in line["stages"]]
        assert ends[0][0] == 0
        assert ends[-1][1] == source.budget.total_tokens
        heights = [scale * max(rates) for *_, scale, _, rates in line["stages"]]
        assert 0 < max(heights) <= 1.001


def test_a_large_study_keeps_only_what_can_be_drawn(tmp_path):
    source = read_source(build_run(tmp_path / "run", num_trials=260))
    lines = schedule_lines(source)["lines"]
    counts = {rung: sum(line["rung"] == rung for line in lines) for rung in {line["rung"] for line in lines}}
    assert counts.pop(source.question) <= MOST_ASKED
    assert max(counts.values()) <= MOST_OTHERS


def test_runs_of_before_have_points_but_no_steps(source):
    old = dataclasses.replace(source, steps={})
    line = schedule_lines(old)["lines"][0]
    assert line["steps"] == line["fresh_steps"] == {}
    assert line["points"]["grad_norm"]
    assert json.dumps(line)
