"""Proves that a report is one complete, safe file, whatever the run directory holds."""

from __future__ import annotations

import dataclasses
import json

import pytest

from mbo_search.report.page.page import render_report, write_report
from mbo_search.report.samples import TextSample, load_samples
from mbo_search.report.source import read_source
from mbo_search.results.evidence.differences import difference_of_nats
from mbo_search.results.evidence.ranking_values import SearchRepeats
from mbo_search.results.evidence.score_comparisons import ScoreComparison
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.records.records import LOWER_ARMS, TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.spec.schedule import Schedule
from mbo_search.testing.runs import build_records, build_run, make_setup, make_study
from tests.report.pages import DRAWN, SECTIONS, ParsedPage

HOSTILE = "</script><img src=x onerror=alert(1)>'\"&<!--{{7*7}}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[RunDirectory, ParsedPage]:
    run = build_run(tmp_path_factory.mktemp("report") / "run", num_trials=48, confirm_seeds=6, seed=1)
    return run, ParsedPage(write_report(run).read_text(encoding="utf-8"))


def test_the_page_loads_nothing_from_elsewhere(finished):
    _, page = finished
    links = [
        (tag, name, value)
        for tag, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "action", "srcset") and not (value or "").startswith(("#", "data:"))
    ]
    assert links == []
    policy = next(a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy


def test_the_sections_stand_in_their_order(finished):
    _, page = finished
    ids = [a["id"] for tag, a in page.elements if tag in ("header", "section") and "id" in a]
    assert ids == list(SECTIONS)


def test_every_figure_of_a_finished_study_is_drawn(finished):
    _, page = finished
    drawn = {name.removeprefix("figure-") for name in page.embedded if name.startswith("figure-")}
    assert drawn == set(DRAWN)
    by_script = {"timelines", "curves", "lr"}
    assert all(page.values(f"figure-{key}")["data"] for key in DRAWN if key not in by_script)
    assert {line["trial"] for line in page.values("schedules")["lines"]} >= {0}


def test_the_table_holds_the_ranking(finished):
    run, page = finished
    table = page.values("table-ranking")
    complete = {record.trial for record in run.records() if record.val_loss is not None and record.arm != "confirm"}
    assert {row["trial"] for row in table["rows"]} == complete
    assert [row["rank"] for row in table["rows"]] == list(range(1, len(complete) + 1))
    confirmed = [row["confirmed"] for row in table["rows"]]
    assert confirmed == sorted(confirmed, reverse=True)
    assert 3 <= sum(confirmed) < len(confirmed)


def test_failures_say_what_happened(finished):
    _, page = finished
    rows = page.values("table-failures")["rows"]
    assert [(row["trial"], row["state"], row["reason"]) for row in rows] == [
        (10, "stopped early", "loss or gradient became infinite"),
        (21, "failed", "raised an error"),
        (32, "stopped early", "out of memory"),
        (43, "stopped early", "loss or gradient became infinite"),
    ]
    assert rows[1]["message"] == "ValueError: <b>no</b>"


def hostile(record: TrialRecord) -> TrialRecord:
    stages = tuple(stage.model_copy(update={"name": HOSTILE}) for stage in record.schedule.stages)
    return record.model_copy(
        update={"schedule": Schedule(stages=stages), "label": HOSTILE, "message": HOSTILE, "worker": HOSTILE}
    )


def test_hostile_names_stay_text(tmp_path):
    study = make_study(2)
    run = RunDirectory.create(tmp_path / "run", study, make_setup(study))
    for record, curve in build_records(study, num_trials=24):
        run.write_record(hostile(record), curve)
    source = read_source(run)
    source = dataclasses.replace(
        source,
        study=study.model_copy(update={"study": HOSTILE}),
        ranking=source.ranking.model_copy(update={"study": HOSTILE, "scale": HOSTILE}),
    )
    sample = TextSample(trial=0, label=HOSTILE, prompt=HOSTILE, continuation=HOSTILE)
    page = ParsedPage(render_report(source, samples=[sample]))
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]
    assert page.text.count(HOSTILE) >= 5
    assert page.values("table-failures")["rows"][0]["message"] == HOSTILE
    drawn = [page.embedded[name] for name in page.embedded if name.startswith("figure-")]
    assert not [json.loads(figure) for figure in drawn if "<img" in json.dumps(json.loads(figure))]


def test_samples_are_kept_for_the_next_report(tmp_path):
    run = build_run(tmp_path / "run", num_trials=6)
    sample = TextSample(trial=0, label="baseline", prompt="Once", continuation=" upon a time", val_perplexity=20.0)
    write_report(run, samples=[sample])
    again = ParsedPage(write_report(run).read_text(encoding="utf-8"))
    assert "Once upon a time" in again.text
    assert load_samples(run.path) == (sample,)


def test_answers_stand_beside_the_right_one(finished):
    run, _ = finished
    answers = [
        TextSample(trial=trial, label=label, prompt="Capital?", continuation=said, reference="Paris")
        for trial, label, said in ((0, "untuned", "Rome"), (1, "switch", " Paris"), (2, "tuned", ""))
    ]
    page = ParsedPage(render_report(read_source(run), samples=answers))
    shown = page.text[page.text.index("How they write", page.text.index("Held-out examples") - 99) :]
    order = [
        shown.index(word) for word in ("Capital?", "Right answer", "Paris", "untuned", "Rome", "optimizer changes")
    ]
    assert order == sorted(order)
    assert shown.count("Capital?") == 1
    assert [
        a.get("aria-label")
        for _, a in page.elements
        if a.get("role") == "img" and "right" in (a.get("class") or "")
    ] == ["equals the right answer"]


@pytest.mark.parametrize(("language", "title"), [("en", "Metrics of the task"), ("zh", "\u4efb\u52a1\u6307\u6807")])
def test_metrics_of_a_task_stand_below_the_ranking(finished, language, title):
    run, page = finished
    source = read_source(run)
    first, second = source.ranked[:2]
    found = ScoreComparison(
        metric="chrf",
        trial=first.trial,
        other=second.trial,
        mean=2.0,
        low=1.5,
        high=2.5,
        level=0.95,
        num_seeds=6,
        num_examples=40,
    )
    told = dataclasses.replace(source, ranking=source.ranking.model_copy(update={"score_comparisons": (found,)}))
    text = ParsedPage(render_report(told, language=language)).text
    assert text.index(title) < text.index("[+1.50, +2.50]")
    assert title not in page.text


def test_damaged_samples_are_left_out(tmp_path, caplog):
    (tmp_path / "samples.json").write_text("[1, 2")
    assert load_samples(tmp_path) == ()
    assert "samples.json" in caplog.text


def without(tmp_path, keep) -> ParsedPage:
    study = make_study(3)
    run = RunDirectory.create(tmp_path / "run", study, make_setup(study))
    for record, curve in build_records(study, num_trials=24):
        if keep(record):
            run.write_record(record, curve)
    return ParsedPage(write_report(run).read_text(encoding="utf-8"))


def test_an_empty_study_says_so(tmp_path):
    page = without(tmp_path, lambda record: False)
    assert "No schedule has finished yet." in page.text
    assert not [name for name in page.embedded if name.startswith("figure-")]


def test_a_study_of_failures_shows_them(tmp_path):
    page = without(tmp_path, lambda record: record.val_loss is None)
    assert "No schedule has finished yet." in page.text
    assert len(page.values("table-failures")["rows"]) == 2


def test_a_lone_baseline_is_shown_without_a_verdict(tmp_path):
    page = without(tmp_path, lambda record: record.arm == "baseline")
    assert "There is nothing to compare it with yet." in page.text
    assert "The search has completed no change of optimizer so far." in page.text
    assert "figure-timelines" in page.embedded


def test_a_study_whose_opponents_have_not_finished_says_what_is_missing(tmp_path):
    page = without(tmp_path, lambda record: record.arm not in LOWER_ARMS)
    assert "No schedule of this rung has finished: one strategy, tuned." in page.text


def test_the_first_screen_holds_question_answer_certainty_and_next_step(finished):
    run, page = finished
    verdict = make_ranking(run).verdict
    shown = page.text.replace("\u00a0", " ")
    opening = shown[: shown.index("The best schedule of each rung")]
    assert "Does changing the optimizer between stages beat everything that one optimizer can do?" in opening
    assert verdict.ladder_sentence in opening
    assert verdict.headline in opening
    assert verdict.details in opening
    assert all(f"{reason}." in opening for reason in verdict.objections)
    assert verdict.next.split("mbo-search")[0].rstrip(": ") in opening
    assert "how sure" in opening


def test_the_ladder_is_a_table_that_needs_no_script(finished):
    run, page = finished
    for row in make_ranking(run).ladder:
        assert row.perplexity is not None
        assert f"{row.perplexity:.2f}" in page.text
        assert all(what in page.text for what in row.hand_picked)


def test_independent_searches_are_a_sentence_and_a_strip(finished):
    run, _ = finished
    source = read_source(run)
    gain = difference_of_nats(0.01, -0.002, 0.022, 0.95)
    repeats = SearchRepeats(
        searches=3, planned=5, gains_nats=(0.0, 0.01, 0.02), gain=gain, answer="undecided", sentence="So it is."
    )
    told = dataclasses.replace(source, ranking=source.ranking.model_copy(update={"repeats": repeats}))
    page = ParsedPage(render_report(told))
    assert "So it is." in page.text
    strip = page.values("figure-repeats")["data"]
    assert [len(trace["x"]) for trace in strip] == [2, 1, 3]
    chinese = ParsedPage(render_report(told, language="zh"))
    assert "5 \u6b21\u72ec\u7acb\u641c\u7d22\u4e2d\u7684 3 \u6b21" in chinese.text
    assert "So it is." not in chinese.text


def test_damaged_records_are_named_on_the_page(tmp_path):
    run = build_run(tmp_path / "run", num_trials=6)
    run.record_file(3).write_text("{}")
    run.curve_file(2).write_text("no json")
    page = ParsedPage(write_report(run, tmp_path / "elsewhere.html").read_text(encoding="utf-8"))
    assert "0003.json" in page.text
    assert "0002.curve.json" in page.text
    assert len(page.values("table-ranking")["rows"]) == 5


def test_the_study_file_and_the_commands_are_there(finished):
    run, page = finished
    assert run.study_file.read_text(encoding="utf-8").strip() in page.text
    assert f"mbo-search replay {run.path}/best.yaml" in page.text
