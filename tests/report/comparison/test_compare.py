"""Proves that a comparison sets side by side what may be, and says loudly what may not."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbo_search.errors import UserError
from mbo_search.report.comparison.compare import render_comparison, verdict_between, write_comparison
from mbo_search.report.comparison.compared_runs import comparability, field_rows, in_order, open_compared_runs, pair
from mbo_search.report.style.i18n import load_strings
from mbo_search.results.evidence.ranking_values import RankedRun
from mbo_search.testing.runs import build_run

TEXT = load_strings("en")
NAMES = {**TEXT["facts"], "stage": "stage"}


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory) -> Path:
    return build_run(tmp_path_factory.mktemp("compare") / "run", num_trials=48, confirm_seeds=6, seed=1).path


def copy_with(folder: Path, target: Path, **setup: object) -> Path:
    """The same study, measured under another setup."""
    shutil.copytree(folder, target)
    file = target / "setup.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **setup}))
    return target


def leaders(folder: Path) -> tuple[int, int]:
    """The winner and that of the tuned schedules; both were confirmed."""
    rows = open_compared_runs([str(folder), str(folder)])[0].source.ranked
    return rows[0].trial, next(row.trial for row in rows if row.rung == "tuned")


def test_a_directory_means_its_winner(confirmed):
    winner, control = leaders(confirmed)
    found = open_compared_runs([str(confirmed), f"{confirmed}:{control}"])
    assert [one.row.trial for one in found] == [winner, control]
    assert found[0].source is found[1].source, "a directory is read once"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["{run}"], "at least two"),
        (["{run}", "{run}:999"], "999 is not a schedule of this study"),
        (["{run}", "{run}:10"], "10 has not finished: it is pruned"),
        (["{run}", "{run}/nowhere"], "does not exist"),
    ],
)
def test_what_cannot_be_compared_is_refused(confirmed, names, expected):
    with pytest.raises(UserError, match=expected):
        open_compared_runs([name.format(run=confirmed) for name in names])


def test_the_same_study_compares_without_warnings(confirmed):
    _, control = leaders(confirmed)
    judged = comparability(open_compared_runs([str(confirmed), f"{confirmed}:{control}"]))
    assert judged.unit == "perplexity"
    assert judged.warnings == ()
    assert judged.seeds == (1, 2, 3, 4, 5, 6)


def test_an_unconfirmed_schedule_is_compared_on_the_search_seed(confirmed):
    runs = open_compared_runs([str(confirmed), f"{confirmed}:5"])
    judged = comparability(runs)
    assert judged.seeds == (0,)
    searched = {one.row.trial: one.source.records[one.row.trial].val_loss for one in runs}
    assert [one.loss(judged.seeds) for one in runs] == list(searched.values())


def test_other_tokens_leave_bits_per_byte(confirmed, tmp_path):
    other = copy_with(confirmed, tmp_path / "other", data_fingerprint="else", bytes_per_token=6.2)
    runs = open_compared_runs([str(confirmed), str(other)])
    judged = comparability(runs)
    assert (judged.unit, judged.warnings) == ("bits_per_byte", ("warn_tokens",))
    best = in_order(runs, judged)[0]
    assert best.source.path == other, "twice the bytes per token make half the bits per byte"
    expected = best.loss(judged.seeds) / math.log(2) / 6.2
    assert best.bits_per_byte(judged.seeds) == pytest.approx(expected)
    told = verdict_between(in_order(runs, judged), judged, TEXT)
    assert "50\u00a0% fewer bits per byte" in told
    assert "6 common fresh seeds" in told


def test_other_windows_leave_nothing(confirmed, tmp_path):
    other = copy_with(confirmed, tmp_path / "other", windows_fingerprint="else")
    runs = open_compared_runs([str(confirmed), str(other)])
    judged = comparability(runs)
    assert (judged.unit, judged.warnings) == (None, ("warn_windows",))
    assert verdict_between(in_order(runs, judged), judged, TEXT) == TEXT["compare"]["incomparable"]
    page = render_comparison(runs)
    assert TEXT["compare"]["curves_missing"] not in page, "curves were kept, but may not be compared"
    assert "fresh seeds that all of them" not in page
    page = render_comparison(runs)
    assert TEXT["compare"]["warn_windows"] in page


def test_pairs_are_tested_on_their_common_fresh_seeds(confirmed):
    _, control = leaders(confirmed)
    best, other = open_compared_runs([str(confirmed), f"{confirmed}:{control}"])
    paired = pair(best, other, comparability([best, other]))
    mine, theirs = ({run.seed: run.val_loss for run in one.row.runs} for one in (best, other))
    assert paired.fresh is not None
    assert paired.fresh.num_seeds == 6
    assert paired.fresh.mean_nats == pytest.approx(sum(theirs[s] - mine[s] for s in range(1, 7)) / 6)
    assert paired.gain_nats == paired.fresh.mean_nats


def test_only_what_fresh_seeds_show_is_told_as_a_fact(confirmed):
    _, control = leaders(confirmed)

    def told(*names):
        runs = open_compared_runs([str(confirmed), *names])
        judged = comparability(runs)
        return verdict_between(in_order(runs, judged), judged, TEXT)

    assert "lower perplexity than" in told(f"{confirmed}:{control}")
    assert "They have 0 fresh seeds in common, so nothing is decided: a decision takes 6." in told(f"{confirmed}:5")


def with_runs(folder: Path, losses: list[list[float]]) -> list:
    """Contestants whose losses on fresh seeds 1, 2, ... are these."""
    runs = open_compared_runs([str(folder)] * len(losses))
    return [
        dataclasses.replace(
            one,
            name=f"schedule {number}",
            row=one.row.model_copy(
                update={
                    "runs": tuple(RankedRun(seed=seed, val_loss=loss) for seed, loss in enumerate(found, start=1)),
                    "val_loss": sum(found) / len(found),
                }
            ),
        )
        for number, (one, found) in enumerate(zip(runs, losses, strict=True))
    ]


@pytest.mark.parametrize("num_seeds", range(1, 9))
def test_fewer_fresh_seeds_than_six_decide_nothing(confirmed, num_seeds):
    runs = with_runs(confirmed, [[3.0 + 0.001 * s for s in range(num_seeds)], [3.1] * num_seeds])
    judged = comparability(runs)
    told = verdict_between(in_order(runs, judged), judged, TEXT)
    assert ("lower perplexity than" in told) == (num_seeds >= 6)
    assert (f"They have {num_seeds} fresh seeds in common, so nothing is decided" in told) == (num_seeds < 6)
    assert ("95\u00a0% interval" in told) == (num_seeds >= 2)


@given(st.lists(st.lists(st.floats(2.0, 4.0), min_size=3, max_size=8), min_size=2, max_size=4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_estimate_and_interval_never_have_opposite_signs(confirmed, losses):
    """Also where some schedules have more seeds in common than all of them."""
    runs = with_runs(confirmed, losses)
    judged = comparability(runs)
    best, *others = in_order(runs, judged)
    for other in others:
        paired = pair(best, other, judged)
        assert paired.gain_nats >= -1e-12
        assert paired.gain_nats == pytest.approx(other.loss(judged.seeds) - best.loss(judged.seeds), abs=1e-12)
        if paired.fresh is not None:
            assert paired.fresh.num_seeds == min(map(len, losses))
            assert paired.fresh.low_nats <= paired.gain_nats <= paired.fresh.high_nats


def test_only_what_differs_is_marked(confirmed):
    _, control = leaders(confirmed)
    rows = field_rows(open_compared_runs([str(confirmed), f"{confirmed}:{control}"]), NAMES)
    by_name = {(row.group, row.name): row for row in rows}
    assert by_name["study", "model.layers"].values == ("2", "2")
    assert not by_name["study", "model.layers"].differs
    assert by_name["study", "stages.0.optimizer"].values[0] == "adamw, lion, muon"
    assert by_name["schedule", "stage 1: share"].differs
    assert by_name["schedule", "stage 3: optimizer"].values[1] == "", "the control schedule has one stage"
    differing = [row.differs for row in rows if row.group == "schedule"]
    assert differing == sorted(differing, reverse=True), "what differs comes first"


def test_the_page_is_written_whole(confirmed, tmp_path):
    _, control = leaders(confirmed)
    page = write_comparison(
        open_compared_runs([str(confirmed), f"{confirmed}:{control}"]), tmp_path / "compare.html"
    )
    text = page.read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script>")
    assert 'id="figure-timelines"' in text
    assert 'id="figure-overlay"' in text
    assert "6 common fresh seeds" in text
