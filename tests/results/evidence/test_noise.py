"""Earlier confirmations of the same data and model say how many seeds the next one needs; others say nothing."""

from __future__ import annotations

import json

import pytest

from mbo_search.results.evidence.noise import difference_noise
from mbo_search.results.ranking.files import earlier_noise, make_ranking
from mbo_search.results.statistics.paired import nats_of_percent, seeds_to_detect
from mbo_search.testing.runs import build_run, make_setup, make_study


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """One study that was confirmed, one that was not, one of another model, and things that are no studies."""
    folder = tmp_path_factory.mktemp("reports")
    build_run(folder / "confirmed", num_trials=12, confirm_seeds=6)
    build_run(folder / "searched", num_trials=12)
    other = build_run(folder / "other", num_trials=12, confirm_seeds=6)
    setup = json.loads((other.path / "setup.json").read_text())
    setup["vocab_size"] = 2048
    (other.path / "setup.json").write_text(json.dumps(setup))
    (folder / "empty").mkdir()
    (folder / "note.txt").write_text("no study")
    return folder


def test_only_what_trained_alike_counts(reports):
    noise = earlier_noise(reports, make_setup(make_study()), 0.5)
    assert noise.folders == ("confirmed",)
    ranking = make_ranking(build_run(reports / "again", num_trials=12, confirm_seeds=6))
    assert noise.sd_nats == difference_noise(ranking.comparisons)
    assert noise.seeds == max(6, seeds_to_detect(nats_of_percent(0.5), noise.sd_nats))


def test_a_larger_gain_takes_fewer_seeds_and_at_least_six(reports):
    setup = make_setup(make_study())
    small, large = (earlier_noise(reports, setup, percent).seeds for percent in (0.2, 50.0))
    assert small > large == 6


def test_other_arithmetic_is_as_noisy(reports):
    setup = make_setup(make_study()).model_copy(update={"numerics": {"micro_batch": "4"}})
    assert earlier_noise(reports, setup, 0.5) is not None


def test_without_any_nothing_is_known(tmp_path):
    assert earlier_noise(tmp_path / "none", make_setup(make_study()), 0.5) is None
