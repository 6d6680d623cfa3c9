"""Proves that independent searches of a study are whole run directories with seeds of their own, told together."""

from __future__ import annotations

import json

import pytest

from mbo_search.engine.run import SEEDS_APART, RunOptions, resume_study, run_study, study_of_repeat
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.ranking.repeats import repeat_folder
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.testing.studies import tiny_study

CONFIRM = '{"top": 1, "seeds": 2, "equivalent_tokens": false}'
QUESTION = 'control={"question": "shape", "share": 0.5}'


@pytest.fixture(scope="module")
def repeated(tiny_root, tmp_path_factory):
    """Two searches of the tiny study, each confirmed on two fresh seeds."""
    out = tmp_path_factory.mktemp("repeated") / "run"
    study = tiny_study(tiny_root, "search.repeats=2", "search.trials=8", QUESTION, f"confirm={CONFIRM}")
    run_study(study, out, RunOptions(cache=tiny_root / "cache", backend="local"))
    return RunDirectory.open(out)


def test_each_search_has_a_directory_and_a_seed_of_its_own(repeated):
    second = RunDirectory.open(repeat_folder(repeated.path, 2))
    assert second.study().seed == repeated.study().seed + SEEDS_APART
    seeds = [{record.seed for record in run.records()} for run in (repeated, second)]
    assert all(len(found) == 3 for found in seeds)
    assert seeds[0].isdisjoint(seeds[1])


def test_other_seeds_draw_other_schedules(repeated):
    second = RunDirectory.open(repeat_folder(repeated.path, 2))
    drawn = [[record.params for record in run.records() if record.arm == "staged"] for run in (repeated, second)]
    assert drawn[0] != drawn[1]


def test_the_ranking_of_the_first_tells_what_all_say_together(repeated):
    ranking = json.loads(repeated.ranking_json.read_text(encoding="utf-8"))
    assert ranking["declared"] == "searching"
    assert (ranking["repeats"]["searches"], ranking["repeats"]["planned"]) == (2, 2)
    second = make_ranking(RunDirectory.open(repeat_folder(repeated.path, 2)))
    assert second.repeats is None
    gain = next(one for one in second.comparisons if one.role == "ladder" and one.rung == second.verdict.question)
    assert ranking["repeats"]["gains_nats"][1] == gain.difference.nats.mean


def test_a_third_search_is_added_by_resuming(repeated, tiny_root):
    before = repeated.records()
    options = RunOptions(cache=tiny_root / "cache", backend="local")
    resume_study(repeated.path, options, ["search.repeats=3"])
    assert repeated.records() == before
    assert make_ranking(RunDirectory.open(repeated.path)).repeats.searches == 3


def test_a_single_search_says_nothing_of_repeats(tiny_root, tmp_path):
    run_study(
        tiny_study(tiny_root, "search.trials=3"),
        tmp_path / "run",
        RunOptions(cache=tiny_root / "cache", backend="local"),
    )
    ranking = make_ranking(RunDirectory.open(tmp_path / "run"))
    assert (ranking.repeats, ranking.declared) == (None, "recipes")


def test_the_first_search_is_the_study_itself(tiny_root):
    study = tiny_study(tiny_root, "search.repeats=5")
    assert study_of_repeat(study, 1) == study
    assert study_of_repeat(study, 3).search.repeats == 1
