"""Proves that every count adds up and that terminal, page, JSON and live display say the same numbers."""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from mbo_search.api.live import progress_line
from mbo_search.cli.ranking_text import ranking_text
from mbo_search.engine.control.progress import progress_of
from mbo_search.engine.control.stopping import StoppingCriteria
from mbo_search.report.page.tiles import cost
from mbo_search.report.style.i18n import LANGUAGES, load_strings
from mbo_search.results.evidence.count_words import nothing_complete, schedule_words, token_words
from mbo_search.results.evidence.counts import ENDINGS, TokenCounts, count_study, ending_of
from mbo_search.results.ranking.rank import count_totals, rank
from mbo_search.results.records.records import TrialRecord
from mbo_search.trial.cost import Cost
from tests.helpers.toy_world import ToyWorld
from tests.results.ladders import failed, fresh, schedule_of, searched, spread

ENDS = {
    "complete": ("complete", None),
    "stopped": ("pruned", "pruner"),
    "diverged": ("pruned", "non_finite"),
    "out_of_memory": ("pruned", "out_of_memory"),
    "failed": ("failed", "worker_lost"),
    "interrupted": ("interrupted", "signal"),
}


def trial(number, ending, *, lr=0.1, stop_after=None, tokens=100):
    state, reason = ENDS[ending]
    return TrialRecord(
        trial=number,
        arm="staged",
        seed=0,
        schedule=schedule_of("switch", lr),
        state=state,
        reason=reason,
        val_loss=3.0 if state == "complete" else None,
        stop_after=stop_after,
        requested_tokens=tokens,
        cost=Cost(executed_tokens=tokens, wasted_tokens=number),
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_has_its_own_count(ending):
    record = trial(0, ending)
    assert ending_of(record) == ending
    counts = count_study([record])
    assert (counts.schedules, getattr(counts, ending)) == (1, 1)
    assert counts.unfinished == (() if ending == "complete" else ((ending, 1),))


@pytest.mark.parametrize("ending", ["stopped", "diverged", "out_of_memory", "failed"])
def test_a_probe_is_a_probe_however_it_ends(ending):
    counts = count_study([trial(0, ending, stop_after=0), trial(1, "complete", lr=0.2)])
    assert (counts.schedules, counts.complete, counts.probes, counts.unfinished) == (1, 1, 1, ())
    assert counts.search.requested == 100
    assert counts.search.trained == 200


def test_probes_of_earlier_versions_are_known_by_their_reason():
    old = trial(0, "stopped").model_copy(update={"reason": "probe"})
    assert old.stop_after is None
    assert count_study([old]).probes == 1


def test_a_row_that_is_only_a_probe_says_so():
    records = [trial(0, "diverged", stop_after=0), trial(1, "diverged", lr=0.2)]
    rows = rank(records, "s", count_totals(records, {}), scale="here").trials
    assert [(row.trial, row.state) for row in rows] == [(0, "probe"), (1, "pruned")]


def test_equal_schedules_are_counted_and_told_as_one():
    counts = count_study([trial(0, "complete"), trial(1, "complete"), trial(2, "diverged", lr=0.3)])
    assert (counts.schedules, counts.different, counts.different_complete) == (3, 2, 1)
    assert schedule_words(counts) == "3 schedules (2 different): 2 complete, 1 diverged"


def test_confirm_runs_are_counted_apart_with_their_tokens():
    records = [searched(number, "switch", 3.0, lr=0.1 * (number + 1)) for number in range(2)]
    counts = count_study([*records, *fresh({"tuned": spread(0.1)}), failed(900, "switch", 77)])
    assert (counts.schedules, counts.confirm_runs, counts.confirm_complete) == (2, 13, 12)
    assert schedule_words(counts) == "2 schedules: all complete; 13 confirm runs, 1 not complete"


def test_a_study_without_a_complete_schedule_says_what_became_of_them():
    counts = count_study([trial(0, "diverged"), trial(1, "diverged", lr=0.2), trial(2, "failed", lr=0.3)])
    assert nothing_complete(counts) == "No schedule is complete: of 3 tried, 2 diverged, 1 failed."
    assert nothing_complete(count_study([])) == "No schedule has ended yet."


def test_tokens_in_words_name_all_four_numbers():
    tokens = TokenCounts(requested=2_000_000, trained=1_500_000, saved=500_000, wasted=10_000)
    assert token_words(tokens) == ("2M tokens requested, 1.5M trained, 500k (25%) saved by sharing, 10k wasted")
    dear = TokenCounts(requested=1000, trained=1500, saved=-500)
    assert token_words(dear).endswith("probes and repetitions cost 500 more than sharing saved")


def numbers_on_the_page(ranking, language):
    return [
        int(number) for phrase in cost(ranking, load_strings(language)) for number in re.findall(r"\b\d+\b", phrase)
    ]


ENDED = st.sampled_from([*ENDINGS])
TRIALS = st.lists(st.tuples(ENDED, st.sampled_from([0.1, 0.2, 0.3, 0.4]), st.booleans()), min_size=1, max_size=12)


@given(TRIALS)
@settings(deadline=None)
def test_in_any_study_the_numbers_add_up_and_agree(trials):
    records = [
        trial(number, ending, lr=lr, stop_after=0 if is_probe and ending != "complete" else None)
        for number, (ending, lr, is_probe) in enumerate(trials)
    ]
    ranking = rank(records, "s", count_totals(records, {}), scale="here")
    counts, totals = ranking.counts, ranking.totals
    assert counts.schedules == sum(getattr(counts, ending) for ending in ENDINGS)
    assert counts.schedules + counts.probes + counts.confirm_runs == len(records)
    assert counts.different_complete == sum(row.rank is not None for row in ranking.trials)
    for part in (counts.search, counts.confirmation):
        assert part.requested == part.trained + part.saved
    assert totals.requested_tokens == counts.search.requested + counts.confirmation.requested
    assert totals.executed_tokens == counts.search.trained + counts.confirmation.trained
    assert totals.wasted_tokens == counts.search.wasted + counts.confirmation.wasted
    console = Console(file=io.StringIO(), width=1000)
    for part in ranking_text(ranking):
        console.print(part)
    assert f"Tried: {schedule_words(counts)}." in console.file.getvalue()
    told = {counts.complete, *(count for _, count in counts.unfinished), counts.probes} - {0}
    for language in LANGUAGES:
        shown = numbers_on_the_page(ranking, language)
        assert shown[0] == counts.schedules
        assert told <= {*shown} or counts.complete == counts.schedules


@given(st.integers(0, 10_000), st.integers(4, 12))
@settings(deadline=None, max_examples=15)
def test_a_live_search_counts_what_its_ranking_counts(fates, limit):
    def fate(task):
        return ("complete", "complete", "diverged", "exception")[(fates >> (2 * (task.trial % 7))) % 4]

    with tempfile.TemporaryDirectory() as folder:
        world = ToyWorld(folder=Path(folder), limits=StoppingCriteria(trials=limit), fate=fate)
        controller = world.run(world.controller())
        progress = progress_of(controller, study="toy", messages=())
        records = controller.table.all_records
        ranking = rank(records, "toy", count_totals(records, {}), scale="here")
    assert progress.counts == ranking.counts
    assert ranking.counts.schedules == limit
    assert progress.done == len(records)
    assert progress_line(progress).startswith(f"{limit} of {limit} schedules done")
    assert progress.executed_tokens + progress.saved_tokens == ranking.totals.requested_tokens
