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
from mbo_search.report.comparison.comparability import comparability, in_order, pair
from mbo_search.report.comparison.compare import comparison_words, render_comparison, write_comparison
from mbo_search.report.comparison.compared_runs import field_rows, open_compared_runs
from mbo_search.report.comparison.sentences import outcome_between, outcome_words, verdict_between
from mbo_search.report.style.i18n import load_strings
from mbo_search.results.evidence.ranking_values import RankedRun
from mbo_search.testing.runs import build_run

TEXT = load_strings("en")
NAMES = {**TEXT["names"], **TEXT["facts"], "stage": "stage"}


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory) -> Path:
    return build_run(tmp_path_factory.mktemp("compare") / "run", num_trials=48, confirm_seeds=6, seed=1).path


def copy_with(folder: Path, target: Path, **setup: object) -> Path:
    """The same study, measured under another setup."""
    shutil.copytree(folder, target)
    file = target / "setup.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **setup}))
    return target


def told(runs) -> str:
    judged = comparability(runs)
    return verdict_between(in_order(runs, judged), judged, TEXT)


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
    assert "50\u00a0% fewer bits per byte" in told(runs)
    assert "6 common fresh seeds" in told(runs)


def test_other_windows_leave_nothing(confirmed, tmp_path):
    other = copy_with(confirmed, tmp_path / "other", windows_fingerprint="else")
    runs = open_compared_runs([str(confirmed), str(other)])
    judged = comparability(runs)
    assert (judged.unit, judged.warnings) == (None, ("warn_windows",))
    assert "Neither can be called better: they were measured on different parts of the text." in told(runs)
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

    def said(*names):
        return told(open_compared_runs([str(confirmed), *names]))

    assert "lower perplexity than" in said(f"{confirmed}:{control}")
    assert "They have 0 fresh seeds in common, so nothing is decided: a decision takes 6." in said(f"{confirmed}:5")


@pytest.fixture(scope="module")
def contestant(confirmed):
    """A schedule as it is compared; reading its directory takes longer than comparing."""
    return open_compared_runs([str(confirmed)] * 2)[0]


def with_runs(contestant, losses: list[list[float]]) -> list:
    """Contestants whose losses on fresh seeds 1, 2, ... are these."""
    return [
        dataclasses.replace(
            contestant,
            name=f"schedule {number}",
            row=contestant.row.model_copy(
                update={
                    "runs": tuple(RankedRun(seed=seed, val_loss=loss) for seed, loss in enumerate(found, start=1)),
                    "val_loss": sum(found) / len(found),
                }
            ),
        )
        for number, found in enumerate(losses)
    ]


@pytest.mark.parametrize("num_seeds", range(1, 9))
def test_fewer_fresh_seeds_than_six_decide_nothing(contestant, num_seeds):
    runs = with_runs(contestant, [[3.0 + 0.001 * s for s in range(num_seeds)], [3.1] * num_seeds])
    judged = comparability(runs)
    sentence = verdict_between(in_order(runs, judged), judged, TEXT)
    assert ("lower perplexity than" in sentence) == (num_seeds >= 6)
    assert (f"They have {num_seeds} fresh seeds in common, so nothing is decided" in sentence) == (num_seeds < 6)
    assert ("95\u00a0% interval" in sentence) == (num_seeds >= 2)


@given(st.lists(st.lists(st.floats(2.0, 4.0), min_size=3, max_size=8), min_size=2, max_size=4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_estimate_and_interval_never_have_opposite_signs(contestant, losses):
    """Also where some schedules have more seeds in common than all of them."""
    runs = with_runs(contestant, losses)
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


NOBODY = "Neither can be called better: "


@pytest.mark.parametrize(
    ("change", "reason", "apart"),
    [
        (
            {"steps_per_segment": 100},
            "they were trained on different numbers of tokens (1.02M and 102k).",
            ("budget",),
        ),
        (
            {"model": {"layers": 4, "width": 64, "heads": 2, "context": 32, "tie_embeddings": True}},
            "their models differ (279k and 59.6k parameters).",
            ("model",),
        ),
    ],
)
def test_other_models_and_budgets_make_no_schedule_better(confirmed, tmp_path, change, reason, apart):
    other = copy_with(confirmed, tmp_path / "other", **change)
    winner, control = leaders(confirmed)
    names = [f"{other}:{control}", f"{confirmed}:{winner}"]
    runs = open_compared_runs(names)
    judged = comparability(runs)
    assert judged.apart == apart
    assert told(runs).startswith(NOBODY)
    ordered = in_order(runs, judged)
    assert [one.row.trial for one in ordered] == [control, winner], "as they were named: an order would tell"
    assert outcome_between(ordered, judged) == "none"
    assert outcome_words(ordered, "none", TEXT) == "Not comparable"
    page = render_comparison(runs)
    assert "<title>Not comparable" in page
    assert "lower perplexity than" not in page
    words = comparison_words(runs)
    assert words.warnings
    assert len(words.details) == 2, "what each gains in its own study can be said"
    assert reason in told(runs)


def test_a_gain_within_the_own_study_is_that_over_its_baseline(confirmed, tmp_path):
    other = copy_with(confirmed, tmp_path / "other", steps_per_segment=100)
    winner, _ = leaders(confirmed)
    runs = open_compared_runs([str(confirmed), str(other)])
    baseline = next(row for row in runs[0].source.ranked if row.trial == runs[0].source.ranking.baseline_trial)
    gain = 100 * (1 - math.exp(runs[0].row.val_loss - baseline.val_loss))
    expected = f"gains +{gain:.2f}\u00a0% of perplexity over the best baseline (#{baseline.trial}), on fresh seeds."
    assert expected in comparison_words(runs).details[0]
    assert f"run #{winner} gains" in comparison_words(runs).details[0]


def test_other_text_leaves_nothing(confirmed, tmp_path):
    other = copy_with(confirmed, tmp_path / "other", data_fingerprint="else")
    study = other / "study.yaml"
    study.write_text(study.read_text().replace("source: [docs]", "source: [tinystories]"))
    runs = open_compared_runs([str(confirmed), str(other)])
    judged = comparability(runs)
    assert (judged.unit, judged.apart) == (None, ("text",))
    assert told(runs) == f"{NOBODY}they were measured on different texts."
    assert "warn_text" in judged.warnings
    assert "warn_tokens" not in judged.warnings


def test_directories_of_one_study_are_told_apart_by_what_differs_in_their_paths(confirmed, tmp_path):
    for folder in ("one/quick", "two/quick"):
        (tmp_path / folder).parent.mkdir()
        shutil.copytree(confirmed, tmp_path / folder)
    names = [str(tmp_path / "one/quick"), str(tmp_path / "two/quick"), f"{tmp_path}/two/../two/quick:0"]
    runs = open_compared_runs(names)
    winner, _ = leaders(confirmed)
    assert [one.name for one in runs] == [f"one/quick #{winner}", f"two/quick #{winner}", "two/quick #0"]
    assert runs[1].source is runs[2].source, "the same directory by another path"
    assert f"one/quick #{winner}" in render_comparison(runs)


def test_one_directory_goes_by_the_name_of_its_study(confirmed):
    assert [one.name for one in open_compared_runs([str(confirmed), f"{confirmed}:0"])][1] == "built #0"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_title_begins_with_what_came_out(confirmed, language):
    winner, control = leaders(confirmed)
    page = render_comparison(open_compared_runs([str(confirmed), f"{confirmed}:{control}"]), language=language)
    word = f"built #{winner} is better" if language == "en" else f"built #{winner} \u66f4\u597d"
    assert f"<title>{word} \u00b7 " in page
    assert 'rel="icon"' in page


def with_answers(run, share: float):
    """The same run, each of whose fresh seeds answered so many of 40 questions."""
    right = [(float(place < 40 * share),) for place in range(40)]
    records = {
        trial: record.model_copy(update={"judged_statistics": {"exact_match": right}})
        for trial, record in run.source.records.items()
    }
    row = run.row.model_copy(update={"scores": {"exact_match": share}})
    return dataclasses.replace(run, source=dataclasses.replace(run.source, records=records), row=row)


def test_metrics_are_compared_on_the_same_examples_only(confirmed, tmp_path):
    winner, control = leaders(confirmed)
    runs = open_compared_runs([f"{confirmed}:{winner}", f"{confirmed}:{control}"])
    best, other = (with_answers(run, share) for run, share in zip(runs, (0.75, 0.5), strict=True))
    page = render_comparison([best, other])
    assert "Metrics of the task" in page
    assert ">75.0\u00a0%<" in page
    assert ">+25.0<" in page
    assert "Metrics of the task" not in render_comparison(runs)
    elsewhere = copy_with(confirmed, tmp_path / "other", data_fingerprint="other")
    apart = with_answers(open_compared_runs([str(confirmed), str(elsewhere)])[1], 0.5)
    assert "Metrics of the task" not in render_comparison([best, apart])


def test_perplexities_of_a_task_are_called_those_of_answers(confirmed, tmp_path):
    copy = copy_with(confirmed, tmp_path / "task", packing=True)
    runs = open_compared_runs([str(copy), f"{copy}:{leaders(confirmed)[1]}"])
    assert "of answers" in render_comparison(runs)
    assert "of answers" not in render_comparison(open_compared_runs([str(confirmed), str(copy)]))
