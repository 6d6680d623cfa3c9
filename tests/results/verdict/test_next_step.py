"""Proves that every state of a run has a next step that can be pasted as it is, and that it can help."""

from __future__ import annotations

import dataclasses
import itertools
import shlex

import pytest
from typer.main import get_command

from mbo_search.cli.app import app
from mbo_search.results.ranking.rank import RankingContext, count_totals, rank
from mbo_search.results.verdict.next_step import Situation
from mbo_search.results.verdict.outlook import Outlook, outlook_of
from mbo_search.study.files.study_file import dump_study, load_study
from mbo_search.study.space.parameters import Parameter
from mbo_search.study.spec.rungs import RUNGS
from mbo_search.testing.runs import make_study
from tests.results.evidence.test_counts import trial
from tests.results.ladders import SEARCH, failed, fresh, info_of, searched, spread

BELOW = RUNGS[:-1]
STUDY = make_study(2)
HERE = Situation(directory="my run", sibling="my run-2", study=STUDY)
CLEAR = {rung: spread(0.2 - 0.03 * index) for index, rung in enumerate(BELOW)}


def step(records, *, now=HERE, info=None):
    context = RankingContext(ladder=info or info_of(schedule_tokens=1000), situation=now)
    verdict = rank(records, "s", count_totals(records, {}), scale="here", context=context).verdict
    words, _, command = verdict.next.partition(": mbo-search ")
    assert command, verdict.next
    pasted = shlex.split(command)
    # A command that does not exist, or an option that it does not have, fails here.
    get_command(app).commands[pasted[0]].make_context(pasted[0], pasted[1:])
    return words, pasted


def overridden(tmp_path, command):
    file = tmp_path / "study.yaml"
    file.write_text(dump_study(STUDY), encoding="utf-8")
    return load_study(file, [word for flag, word in itertools.pairwise(command) if flag == "--set"])


def test_an_interrupted_search_is_continued():
    words, command = step(SEARCH, now=dataclasses.replace(HERE, is_unfinished=True))
    assert "not at its end" in words
    assert command == ["resume", "my run"]


def test_a_search_of_one_seed_is_confirmed():
    assert step(SEARCH) == ("confirm on fresh seeds", ["confirm", "my run", "--seeds", "6"])


def test_where_everything_diverged_lower_rates_are_searched(tmp_path):
    words, command = step([trial(number, "diverged", lr=0.1 * (number + 1)) for number in range(4)])
    assert (words, command[:3]) == ("search lower learning rates", ["fork", "my run", "my run-2"])
    stages = overridden(tmp_path, command).stages
    assert all((stage.lr.relative.low, stage.lr.relative.high) == (0.125 / 16, 0.125) for stage in stages)


@pytest.mark.parametrize(
    ("ending", "words", "setting"),
    [
        ("out_of_memory", "use a smaller micro-batch", "train.micro_batch=1"),
        ("stopped", "search without a pruner", "search.pruner=off"),
    ],
)
def test_the_most_frequent_ending_says_what_helps(ending, words, setting):
    records = [trial(0, ending), trial(1, ending, lr=0.2), trial(2, "diverged", lr=0.3)]
    assert step(records) == (words, ["fork", "my run", "my run-2", "--set", setting])


def test_where_everything_broke_the_logs_come_first():
    words, command = step([trial(0, "failed")])
    assert "my run/trials/*.log" in words
    assert command[0] == "fork"


def test_without_a_schedule_that_needs_the_freedom_the_search_is_longer(tmp_path):
    words, command = step(SEARCH[:4])
    assert (words, command[:2]) == ("search longer", ["resume", "my run"])
    assert overridden(tmp_path, command).search.trials == 2 * STUDY.search.trials


def test_without_opponents_they_get_a_share(tmp_path):
    words, command = step([SEARCH[4]], info=info_of(has_opponents=False))
    assert words.startswith("give the opponents a share")
    assert overridden(tmp_path, command).control.share == 0.5


def test_a_yes_trains_the_final_model():
    assert step([*SEARCH, *fresh(CLEAR)])[1] == ["train", "my run/best.yaml", "--out", "final-model"]


def test_a_no_names_the_simplest_recipe_that_none_beats():
    words, command = step([*SEARCH, *fresh({**CLEAR, "shape": spread(0.0), "settings": spread(0.0)})])
    assert words.endswith("none beats beyond doubt, #2 (shape)")
    assert command == ["export", "my run", "--trial", "2", "--out", "simplest.yaml"]


def test_a_champion_that_fails_on_fresh_seeds_is_searched_beyond():
    words, command = step([*SEARCH, *fresh(CLEAR), failed(900, "switch", 77)])
    assert "trains reliably" in words
    assert command[:2] == ["resume", "my run"]


def test_noise_that_seeds_can_settle_names_them_and_their_cost():
    words, command = step([*SEARCH, *fresh({**CLEAR, "settings": [0.05, 0.0, 0.05, 0.01, -0.01, 0.04]})])
    assert command[:3] == ["confirm", "my run", "--seeds"]
    seeds = int(command[3])
    assert 6 < seeds <= 48
    cost = (seeds - 6) * 5 * 1000
    assert words == f"{seeds} seeds would probably decide (about {cost // 1000}k more tokens)"


def test_a_difference_that_takes_hundreds_of_seeds_is_a_tie():
    noisy = [0.003 + 0.03 * sign for sign in (-1, 1, -1, 1, -1, 1)]
    ranking_next = step([*SEARCH, *fresh({**CLEAR, "settings": noisy})])
    assert ranking_next[0].startswith("stop, for ")
    assert ranking_next[1][:2] == ["export", "my run"]


def test_few_opponents_are_a_reason_to_search_longer(tmp_path):
    words, command = step([*SEARCH, *fresh(CLEAR)], info=info_of(optimizers=("adamw", "lion", "muon")))
    assert words == "search longer, and confirm again"
    assert overridden(tmp_path, command).search.trials == 2 * STUDY.search.trials


@pytest.mark.parametrize(("value", "low", "high"), [(2.0, 0.125, 8.0), (0.125, 0.03125, 2.0)])
def test_a_range_that_ends_too_early_is_widened_on_that_side(tmp_path, value, low, high):
    rate = Parameter(name="stage/1/lr_relative", low=0.125, high=2.0, log=True)
    edge = [*SEARCH[:4], searched(4, "switch", 3.0, params={"stage/1/lr_relative": value})]
    words, command = step([*edge, *fresh(CLEAR)], info=info_of(searched={"staged": (rate,)}))
    assert (words, command[:3]) == ("search a wider range", ["fork", "my run", "my run-2"])
    relative = overridden(tmp_path, command).stages[1].lr.relative
    assert (relative.low, relative.high) == (low, high)


def test_without_a_measured_spread_nothing_is_foreseen():
    alike = rank([*SEARCH, *fresh({rung: [0.0] * 6 for rung in BELOW})], "s", count_totals([], {}), scale="here")
    tests = [one.test for one in alike.comparisons if one.role == "declared"]
    assert [outlook_of(test, 0.5) for test in tests] == [None] * len(tests)
    assert alike.verdict.outlook is None


def test_the_outlook_is_told_in_the_headline():
    assert Outlook(kind="tie").number is None
    noisy = {**CLEAR, "settings": [0.05, 0.0, 0.05, 0.01, -0.01, 0.04]}
    verdict = rank([*SEARCH, *fresh(noisy)], "s", count_totals([], {}), scale="here").verdict
    assert verdict.outlook == "seeds"
    assert verdict.headline.endswith("; too few seeds to tell.")
