"""Proves what the live comparison makes of its measurements, and that both of its sides search and find."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import optuna
import pytest

from mbo_search.engine.searcher.searches import space_of_search
from mbo_search.study.files.study_file import dump_study, load_study
from mbo_search.testing.studies import tiny_study

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("search_live")


def side(*ends: tuple[float, int, float | None]) -> dict:
    """A search of one slot: (seconds, tokens, loss) of one trial after the other; a processor always busy."""
    rows, now = [], 100.0
    for seconds, tokens, loss in ends:
        rows.append(
            {"started": now, "ended": now + seconds, "tokens": tokens, "train_seconds": seconds, "loss": loss}
        )
        now += seconds
    return {"rows": rows, "processor": [(90.0, 10.0), (now, now - 80.0)]}


def test_a_curve_counts_the_cost_of_all_trials_and_starts_with_the_first_training(live: ModuleType) -> None:
    found = live.curve_of(side((10, 50, None), (5, 20, 4.0), (5, 20, 4.5), (2, 10, 3.0)))
    assert found.steps.tolist() == [[70, 15, 15], [90, 20, 20], [100, 22, 22]]
    assert found.best.tolist() == [4.0, 4.0, 3.0]
    assert found.totals.tolist() == [100, 22, 22]


def test_waiting_for_workers_is_no_part_of_the_clock(live: ModuleType) -> None:
    late = side((10, 50, 4.0), (10, 50, 3.0))
    late["rows"][0]["train_seconds"] = 4.0
    found = live.curve_of(late)
    assert found.steps.tolist() == [[50, 4, 4], [100, 14, 14]]


def test_tokens_of_a_trial_in_flight_count_as_far_as_its_time_went(live: ModuleType) -> None:
    both = side((10, 50, 4.0))
    both["rows"].append({"started": 105.0, "ended": 115.0, "tokens": 40, "train_seconds": 10.0, "loss": 3.0})
    assert live.curve_of(both).steps[:, 0].tolist() == [50 + 20, 90]


def test_the_ratio_compares_the_first_costs_at_the_same_mean_loss(live: ModuleType) -> None:
    ours = [live.curve_of(side((1, 10, 4.0), (1, 10, 3.0))), live.curve_of(side((1, 10, 3.0), (1, 10, 2.0)))]
    other = [live.curve_of(side((1, 10, 5.0), (3, 30, 3.0), (2, 20, 3.5)))] * 2
    assert live.first_at(ours, 0, 3.0) == 20
    assert live.first_at(other, 0, 3.0) == 40
    assert live.cost_ratio(ours, other, 0, from_budget=False) == pytest.approx(40 / 20)
    assert live.cost_ratio(ours, other, 0, from_budget=True) == pytest.approx(60 / 20)
    found = live.compare(ours, other, 0)["reached"]
    assert found["seeds"] == [2.0, 4.0]
    assert 2.0 <= found["low"] <= found["mean"] <= found["high"] <= 4.0


def test_where_ours_falls_short_the_ratio_is_the_inverse_one(live: ModuleType) -> None:
    ours = [live.curve_of(side((1, 10, 4.0), (1, 70, 3.9)))]
    other = [live.curve_of(side((1, 20, 3.9), (1, 20, 3.0)))]
    assert live.first_at(ours, 0, 3.0) is None
    assert live.cost_ratio(ours, other, 0, from_budget=False) == pytest.approx(20 / 80)


def test_both_sides_begin_with_the_same_schedules(live: ModuleType, tmp_path: Path) -> None:
    reference = importlib.import_module("live_reference")
    study = load_study(BENCHMARKS / "live.yaml", [])
    begun = [dict(draw.params) for draw in space_of_search(study, "staged", 1.0).initial]
    points = reference.first_points(study)
    assert 0 < len(points) == len(begun)
    assert points == begun
    sampler = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    for point in points:
        sampler.enqueue_trial(point)
    space = reference.DefineByRun(study, {})
    for point in points:
        trial = sampler.ask()
        space(trial)
        assert trial.params == point


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "backend", [pytest.param("local", marks=pytest.mark.slow), pytest.param("ray", marks=pytest.mark.ray)]
)
def test_both_sides_reach_a_loss_within_their_budgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(tmp_path / "cache"))
    changes = ("search.trials=null", "search.budget=10240", "control=0", "baselines=[]", "resources.workers=2")
    study, result = tmp_path / "study.yaml", tmp_path / "result.json"
    study.write_text(dump_study(tiny_study(tmp_path, *changes)), encoding="utf-8")
    command = [sys.executable, BENCHMARKS / "search_live.py", "--study", study, "--backend", backend]
    command += ["--seeds", "1", "--factor", "2", "--out", tmp_path / "live", "--json", result]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(result.read_text(encoding="utf-8"))
    assert (found["schema"], found["reference"]) == ("mbo-search/search-live/1", "tpe+asha2")
    for name in ("ours", "tpe+asha2"):
        (one,) = found["sides"][name]
        assert 0 < one["final_loss"] < 6
        assert 10240 <= one["tokens"] < 10240 + 3 * 2560
        assert min(one["wall_seconds"], one["processor_seconds"]) > 0
        assert one["curve"][-1][-1] == one["final_loss"]
    assert found["ratio"]["tokens"]["reached"]["mean"] > 0
