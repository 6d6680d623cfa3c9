"""Proves that a running search is shown truthfully: counts, bests against the baseline, tokens, no news twice."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from mbo_search.api.live import (
    PlainLines,
    Watcher,
    _sometimes,
    best_baseline_loss,
    draw_progress,
    progress_line,
    watch,
)
from mbo_search.data.progress import PrepareProgress
from mbo_search.engine.control.progress import ArmProgress, Progress, RunningTrial
from mbo_search.results.evidence.counts import StudyCounts


def arm(name, *, best=None, complete=0, ended_early=0, failed=0):
    return ArmProgress(
        arm=name,
        complete=complete,
        ended_early=ended_early,
        failed=failed,
        best_loss=best,
        best_trial=None if best is None else 3,
        executed_tokens=200_000,
    )


def snapshot(**changes):
    values = {
        "study": "quickstart",
        "begun": 7,
        "planned": 24,
        "counts": StudyCounts(schedules=6, complete=5, diverged=1),
        "running": (
            RunningTrial(
                trial=6,
                arm="staged",
                optimizers=("adamw", "muon"),
                tokens=30_000,
                total_tokens=100_000,
                loss=5.25,
            ),
        ),
        "waiting": 0,
        "arms": (arm("baseline", best=5.0, complete=2), arm("staged", best=4.9, complete=3, ended_early=1)),
        "executed_tokens": 600_000,
        "saved_tokens": 200_000,
        "wasted_tokens": 0,
        "elapsed_seconds": 75.0,
        "eta_seconds": 150.0,
        "messages": (),
        "is_stopping": False,
    }
    return Progress(**(values | changes))


def drawn(progress):
    console = Console(file=io.StringIO(), width=120)
    console.print(draw_progress(progress))
    return console.file.getvalue()


def test_a_line_tells_counts_tokens_bests_and_time():
    line = progress_line(snapshot())
    assert line == (
        "6 of 24 schedules done (1 diverged), 1 running; "
        "800k tokens requested, 600k trained, 200k (25%) saved by sharing; "
        "perplexity: baseline 148.41, question 134.29 (-9.5 %); 1 min 15 s, about 2 min 30 s left"
    )


def test_a_line_leaves_out_what_is_not_known():
    line = progress_line(
        snapshot(planned=None, counts=StudyCounts(), arms=(), saved_tokens=0, eta_seconds=None, running=())
    )
    assert line == "0 schedules done, 0 running; 600k tokens requested, 600k trained; 1 min 15 s"


def test_a_line_says_where_probes_cost_more_than_sharing_saved():
    line = progress_line(snapshot(saved_tokens=-20_000))
    assert "600k trained, probes and repetitions cost 20k more than sharing saved;" in line


def test_probes_do_not_count_as_schedules():
    counts = StudyCounts(schedules=4, complete=4, probes=2)
    assert progress_line(snapshot(counts=counts)).startswith("4 of 24 schedules done, 2 probes, 1 running")


def test_confirm_runs_are_counted_and_drawn_as_what_is_left_of_them():
    arms = (arm("staged", best=4.9, complete=6), arm("confirm", best=4.8, complete=3))
    progress = snapshot(
        arms=arms,
        counts=StudyCounts(schedules=6, complete=6, confirm_runs=3),
        planned=6,
        confirm_left=9,
        share=0.269,
    )
    assert progress_line(progress).startswith("26 % done; 6 of 6 schedules done, 3 of 12 confirm runs done")
    assert "[########......................] 26 %" in drawn(progress)


def test_the_table_holds_every_search_and_running_trial():
    text = drawn(snapshot(is_stopping=True, messages=("#4: perplexity 140",)))
    assert "quickstart" in text
    assert "-9.5 %" in text
    assert "adamw -> muon" in text
    assert "30 %" in text
    assert "Stopping" in text
    assert "#4: perplexity 140" in text


def test_user_text_is_shown_as_it_is_and_not_as_markup():
    assert "[red]x[/red]" in drawn(snapshot(messages=("[red]x[/red]",)))


def test_searches_are_shown_by_the_side_that_they_are_on():
    arms = (
        arm("staged", best=4.9, complete=3),
        arm("baseline", best=5.0, complete=1),
        arm("tuned", best=4.95, complete=2),
        arm("shape", best=4.92, complete=2),
    )
    progress = snapshot(arms=arms)
    assert "baseline 148.41, opponents 137.00 (-7.7 %), question 134.29 (-9.5 %)" in progress_line(progress)
    rows = [line.split()[:2] for line in drawn(progress).splitlines() if line.startswith(("opp", "que", "bas"))]
    assert rows == [
        ["baseline", "baseline"],
        ["opponents", "tuned"],
        ["opponents", "shape"],
        ["question", "staged"],
    ]


def test_nothing_is_compared_before_a_baseline_has_ended():
    progress = snapshot(arms=(arm("baseline"), arm("staged", best=4.9, complete=1)))
    assert best_baseline_loss(progress) is None
    assert "%)" not in progress_line(progress).split("perplexity:")[1]


def test_runs_on_fresh_seeds_are_not_compared_with_the_search_s():
    progress = snapshot(arms=(arm("baseline", best=5.0, complete=1), arm("confirm", best=4.9, complete=6)))
    assert "%)" not in progress_line(progress).split("perplexity:")[1]


def test_plain_lines_come_with_news_only():
    lines = []
    observe = PlainLines(lines.append)
    observe(snapshot())
    observe(snapshot(elapsed_seconds=76.0))
    assert len(lines) == 1
    observe(snapshot(elapsed_seconds=95.0))
    assert len(lines) == 2
    observe(snapshot(elapsed_seconds=96.0, counts=StudyCounts(schedules=9, complete=9)))
    assert len(lines) == 3


def test_plain_lines_show_each_message_once():
    lines = []
    observe = PlainLines(lines.append)
    observe(snapshot(messages=("one",)))
    observe(snapshot(messages=("one", "two")))
    observe(snapshot(messages=("two", "three")))
    assert [line for line in lines if line in ("one", "two", "three")] == ["one", "two", "three"]


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_shows_nothing(terminal):
    file = io.StringIO()
    with watch(Console(file=file, force_terminal=terminal), quiet=True) as observe:
        observe(snapshot())
    assert file.getvalue() == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_a_watched_search_is_shown(terminal):
    file = io.StringIO()
    with watch(Console(file=file, force_terminal=terminal, width=120), quiet=False) as observe:
        observe(snapshot())
    assert "6 of 24 schedules done" in file.getvalue()


def test_nothing_is_called_done_before_it_is():
    assert progress_line(snapshot(share=0.999)).startswith("99 % done")
    assert progress_line(snapshot(share=1.0)).startswith("100 % done")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (3.0, "a few seconds"),
        (11.0, "15 s"),
        (88.0, "1 min 30 s"),
        (95.0, "2 min"),
        (150.0, "2 min 30 s"),
        (601.0, "11 min"),
        (7300.0, "2 h 2 min"),
    ],
)
def test_the_time_left_has_no_digits_that_nobody_knows(seconds, said):
    assert progress_line(snapshot(eta_seconds=seconds)).endswith(f"1 min 15 s, about {said} left")


def test_the_preparation_is_told_by_phases():
    lines = []
    watcher = Watcher(lambda _: None, _sometimes(lines.append, 1000.0))
    for done in range(3):
        watcher.data(PrepareProgress("read", done, 3))
    watcher.data(PrepareProgress("encode", 0, 7))
    watcher.step("Measuring this machine")
    assert lines == [
        "Preparing the text: reading files, 0 of 3",
        "Preparing the text: writing tokens, 0 of 7",
        "Measuring this machine ...",
    ]
