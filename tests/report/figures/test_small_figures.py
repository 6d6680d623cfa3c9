"""Proves the values behind the smaller figures: rungs, seeds, history, learning rates used, and axes."""

from __future__ import annotations

import json
import math

import pytest

from mbo_search.report.figures.arms import arms_info, draw_arms
from mbo_search.report.figures.base import focus, perplexity_ticks
from mbo_search.report.figures.history import draw_history, history_info
from mbo_search.report.figures.lr_used import draw_lr_used, lr_used_info
from mbo_search.report.figures.seeds import draw_seeds, seeds_info
from mbo_search.report.style.i18n import load_strings
from mbo_search.results.evidence.ranking_values import Totals
from mbo_search.results.ranking.rank import rank
from mbo_search.results.records.schedule_groups import group_by_schedule
from mbo_search.study.spec.rungs import RUNGS, Rung
from mbo_search.testing.records import BUDGET, make_record, make_rows, make_stage
from mbo_search.testing.runs import build_records, make_study

NAMES = load_strings("en")["names"]


def ranked(*records):
    ranking = rank(records, "s", Totals(), scale="at no size")
    return [row for row in ranking.trials if row.rank is not None]


def test_rungs_are_lanes_with_the_best_first():
    info = arms_info(
        ranked(
            make_record(0, make_stage("adamw", 1.0), arm="baseline", loss=3.5),
            make_record(1, make_stage("lion", 1.0), arm="tuned", loss=3.4),
            make_record(2, make_stage("lion", 0.5), make_stage("adamw", 0.5), loss=3.2),
            make_record(3, make_stage("muon", 0.5), make_stage("adamw", 0.5), loss=3.1),
            make_record(4, make_stage("muon", 1.0), loss=None),
        )
    )
    assert info is not None
    assert [(lane.rung, lane.trials) for lane in info.lanes] == [
        ("switch", (3, 2)),
        ("tuned", (1,)),
        ("untuned", (0,)),
    ]
    assert info.lowest == 3.1


def test_hopeless_schedules_lie_beyond_the_edge_and_are_counted():
    records = [make_record(t, make_stage("lion", 1.0, lr=0.01 * (t + 1)), loss=3.0 + t / 100) for t in range(9)]
    info = arms_info(ranked(*records, make_record(9, make_stage("adamw", 1.0), loss=600.0)))
    assert info is not None
    assert info.highest < 4
    assert info.lanes[0].num_beyond == 1
    assert "Infinity" not in draw_arms(info, names=NAMES).to_json()


def test_nothing_finished_means_no_picture():
    assert arms_info([]) is None


def test_the_baseline_stays_in_view():
    assert focus([3.0, 3.01, 3.02, 3.9], keep=3.9) == (3.0, 3.9)


@pytest.mark.parametrize(("low", "high"), [(3.0, 3.0001), (3.0, 3.1), (1.0, 20.0), (0.0, 50.0)])
def test_ticks_are_few_and_lie_in_view(low, high):
    ticks = perplexity_ticks(low, high)
    assert 2 <= len(ticks) <= 25
    assert all(math.exp(low) <= tick <= math.exp(high) for tick in ticks)


def test_seeds_show_fresh_runs_only_beside_what_the_search_had_seen():
    study = make_study(3)
    records = [record for record, _ in build_records(study, num_trials=24, confirm_seeds=6, seed=1)]
    fresh = {runs.head.trial: runs.fresh for runs in group_by_schedule(records)}
    rows = seeds_info(ranked(*records), fresh)
    assert {row.rung for row in rows} == set(RUNGS)
    for row in rows:
        assert row.seeds == (1, 2, 3, 4, 5, 6)
        assert row.mean == pytest.approx(sum(row.losses) / 6)
        search = next(record for record in records if record.trial == row.trial)
        assert row.search_loss == search.val_loss
    assert len(draw_seeds(rows, names=NAMES).data) == 3 * len(RUNGS)


def test_history_counts_the_tokens_of_unfinished_trials_too():
    records = [
        make_record(1, make_stage("lion", 1.0), loss=3.3),
        make_record(2, make_stage("lion", 1.0), loss=None, tokens=1000),
        make_record(3, make_stage("lion", 1.0), loss=3.5),
        make_record(4, make_stage("adamw", 1.0), arm="tuned", loss=3.2),
        make_record(5, make_stage("adamw", 1.0), loss=3.1),
        make_record(6, make_stage("adamw", 1.0), arm="confirm", loss=1.0),
    ]
    rungs: dict[int, Rung] = {**dict.fromkeys((1, 3, 5), RUNGS[-1]), 4: "tuned"}
    points = history_info(records, rungs)
    assert [(p.trial, p.tokens, p.best) for p in points] == [
        (1, 4000, 3.3),
        (3, 9000, 3.3),
        (4, 13000, 3.2),
        (5, 17000, 3.1),
    ]
    figure = draw_history(points, names=NAMES)
    best = figure.data[-1]
    assert list(best.x) == [4000, 9000, 17000, 17000]


def test_learning_rates_are_planned_and_measured_stage_by_stage():
    record = make_record(0, make_stage("lion", 0.5), make_stage("adamw", 0.5, shape="linear"))
    curves = {0: make_rows(record, [5.0, 4.0, 3.5, 3.0])}
    lines = lr_used_info([record], curves, budget=BUDGET, rungs={0: "switch"}, asked="switch")
    assert [line.optimizer for line in lines] == ["lion", "adamw"]
    assert lines[0].measured == ((1000, 0.01), (2000, 0.01))
    assert lines[1].planned[0] == (2000, 0.01)
    drawn = json.loads(draw_lr_used(lines, num_schedules=len(lines), names=NAMES).to_json())
    assert {trace["meta"]["place"] for trace in drawn["data"]} == {0, -1}
