"""Proves that metrics of a task pass from a trial to its record, the ranking, tables, pages and exported schedules,
and that where there are none everything is written as before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from mbo_search.cli.ranking_text import ranking_text
from mbo_search.report.comparison.compare import render_comparison
from mbo_search.report.comparison.compared_runs import open_compared_runs
from mbo_search.report.page.tables import ranking_table
from mbo_search.report.source import read_source
from mbo_search.report.style.i18n import load_strings
from mbo_search.results.evidence.ranking_values import RankedTrial, Ranking, Totals
from mbo_search.results.evidence.score_comparisons import ScoreComparison, compare_scores
from mbo_search.results.evidence.scores import judged_scores
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.ranking.frames import RANKING_COLUMNS, TRIAL_COLUMNS, ranking_frame, trials_frame
from mbo_search.results.ranking.provenance import schedule_file_of
from mbo_search.results.ranking.rank import rank
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.results.records.schedule_groups import group_by_schedule
from mbo_search.study.files.schedule_file import dump_schedule_file, parse_schedule_file
from mbo_search.testing.records import make_record, make_stage
from mbo_search.testing.runs import build_run
from mbo_search.trial.reports import Metrics

STATISTICS = {"exact_match": ((1.0,), (0.0,), (1.0,), (1.0,)), "accuracy": ((0, 0), (1, 0), (1, 1), (2, 1))}


def scored(trial: int, arm: str = "staged", *, seed: int = 0, **fields: object) -> TrialRecord:
    record = make_record(trial, make_stage("adamw", 1.0), arm=arm, loss=3.0)
    return TrialRecord.model_validate({**record.model_dump(), "seed": seed, **fields})


def only_row(*records: TrialRecord) -> RankedTrial:
    (row,) = rank(records, "s", Totals(), scale="x").trials
    return row


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run in which the trials with even numbers have scores."""
    run = build_run(tmp_path_factory.mktemp("scores") / "run", num_trials=8)
    for record in run.records()[::2]:
        scores = {"chrf": 10.5 + record.trial, "exact_match": 0.25} if record.state == "complete" else {}
        file = run.record_file(record.trial)
        file.write_text(json.dumps({**json.loads(file.read_text()), "scores": scores}))
    return RunDirectory(run.path)


def test_what_has_no_scores_is_written_as_before() -> None:
    metrics = Metrics(loss=1.0, accuracy=0.5, bits_per_byte=2.0, num_tokens=9)
    assert "scores" not in TypeAdapter(Metrics).dump_python(metrics)
    record = scored(0)
    assert {"scores", "judged_statistics"}.isdisjoint(record.model_dump())
    row = only_row(record)
    assert "scores" not in row.model_dump()
    assert "scores" not in row.runs[0].model_dump()
    ranking = rank([record], "s", Totals(), scale="x")
    assert tuple(ranking_frame(ranking).columns) == RANKING_COLUMNS
    assert tuple(trials_frame([record]).columns) == TRIAL_COLUMNS


def test_records_and_rankings_with_scores_read_back_equal() -> None:
    record = scored(0, scores={"bleu": 12.5}, judged_statistics=STATISTICS)
    assert TrialRecord.model_validate_json(record.model_dump_json()) == record
    ranking = rank([record], "s", Totals(), scale="x")
    assert Ranking.model_validate_json(ranking.model_dump_json()) == ranking
    assert ranking.trials[0].scores == {"bleu": 12.5}


def test_the_scores_of_a_confirmed_schedule_are_means_over_its_fresh_seeds() -> None:
    fresh = [scored(n, "confirm", seed=n, scores={"bleu": 10.0 * n, "chrf": 1.0}) for n in (1, 2)]
    assert only_row(scored(0, scores={"bleu": 90.0}), *fresh).scores == {"bleu": 15.0, "chrf": 1.0}
    unequal = fresh[0], fresh[1].model_copy(update={"scores": {"chrf": 3.0}})
    assert only_row(scored(0), *unequal).scores == {"chrf": 2.0}


def test_judged_examples_give_the_scores_where_all_fresh_seeds_have_them() -> None:
    searched = scored(0, scores={"exact_match": 0.1})
    judged = [
        scored(n, "confirm", seed=n, scores={"exact_match": 0.2}, judged_statistics=STATISTICS) for n in (1, 2)
    ]
    assert only_row(searched, *judged).scores == {"exact_match": 0.75, "accuracy": 0.5}
    unjudged = judged[0], scored(2, "confirm", seed=2, scores={"exact_match": 0.2})
    assert only_row(searched, *unjudged).scores == {"exact_match": 0.2}


@pytest.mark.parametrize(
    "rows", [((1.0, 2.0),), ((7.0,),), (), ((1.0,), (1.0, 1.0))], ids=["wide", "large", "none", "ragged"]
)
def test_statistics_of_a_stranger_that_no_metric_has_count_nothing(rows: tuple[tuple[float, ...], ...]) -> None:
    assert judged_scores(scored(0, judged_statistics={"exact_match": rows, "unknown": ((1.0,),)})) == {}


def judged(trial: int, arm: str, seed: int, lr: float, right: list[float]) -> TrialRecord:
    record = make_record(trial, make_stage("adamw", 1.0, lr=lr), arm=arm, loss=3.0 - lr)
    rows = tuple((value,) for value in right)
    return TrialRecord.model_validate(
        {**record.model_dump(), "seed": seed, "judged_statistics": {"exact_match": rows}}
    )


def compared(better: list[float], worse: list[float], seeds: tuple[int, ...] = (1, 2)) -> list[ScoreComparison]:
    """A staged schedule against a baseline, of which each seed has the same answers right."""
    searched = [make_record(n, make_stage("adamw", 1.0, lr=lr), arm="staged") for n, lr in ((0, 0.1), (1, 0.2))]
    fresh = [
        judged(2 * seed + place, "confirm", seed, lr, right)
        for seed in seeds
        for place, (lr, right) in enumerate(((0.1, better), (0.2, worse)))
    ]
    groups = group_by_schedule([*searched, *fresh])
    return list(compare_scores(groups, [(0, 1), (0, 1), (0, 9), (0, 0)]))


def test_schedules_are_compared_on_the_same_seeds_and_examples() -> None:
    (found,) = compared([1.0] * 30 + [0.0] * 10, [1.0] * 20 + [0.0] * 20)
    assert (found.metric, found.trial, found.other, found.mean) == ("exact_match", 0, 1, 0.25)
    assert (found.num_seeds, found.num_examples, found.level) == (2, 40, 0.95)
    assert found.low is not None
    assert 0 < found.low < 0.25 < (found.high or 0)
    (alone,) = compared([1.0, 0.0], [0.0, 0.0], seeds=(1,))
    assert (alone.mean, alone.low, alone.level, alone.p_value) == (0.5, None, None, None)


def test_answers_to_other_examples_are_not_compared() -> None:
    assert compared([1.0] * 30, [1.0] * 20) == []


def test_the_ranking_holds_what_the_question_compares() -> None:
    records = [
        make_record(0, make_stage("adamw", 1.0, lr=0.1), arm="baseline", loss=3.0),
        make_record(1, make_stage("lion", 0.5), make_stage("adamw", 0.5), arm="staged", loss=2.9),
    ]
    fresh = [
        TrialRecord.model_validate(
            {
                **record.model_dump(),
                "trial": 2 * seed + record.trial,
                "arm": "confirm",
                "seed": seed,
                "judged_statistics": {"exact_match": [(float(place >= 4 * record.trial),) for place in range(40)]},
            }
        )
        for seed in (1, 2)
        for record in records
    ]
    ranking = rank([*records, *fresh], "s", Totals(), scale="x")
    (found,) = ranking.score_comparisons
    assert (found.trial, found.other, found.mean) == (1, 0, pytest.approx(-0.1))
    assert Ranking.model_validate_json(ranking.model_dump_json()) == ranking
    assert any("#1 over #0: exact_match -0.1 (95% interval " in str(part) for part in ranking_text(ranking))
    assert "score_comparisons" not in rank(records, "s", Totals(), scale="x").model_dump()


def test_tables_have_a_column_for_each_metric_at_their_end(run: RunDirectory) -> None:
    ranking = make_ranking(run)
    frame = ranking_frame(ranking)
    assert tuple(frame.columns) == (*RANKING_COLUMNS, "score_chrf", "score_exact_match")
    assert frame.set_index("trial")["score_chrf"].dropna().to_dict() == {
        row.trial: row.scores["chrf"] for row in ranking.trials if row.scores
    }
    assert list(trials_frame(run.records()).columns)[len(TRIAL_COLUMNS) :][:2] == [
        "score_chrf",
        "score_exact_match",
    ]


def test_the_terminal_shows_scores(run: RunDirectory) -> None:
    from rich.console import Console

    console = Console(width=200, record=True, file=None)
    with console.capture() as captured:
        console.print(*ranking_text(make_ranking(run)), sep="\n")
    text = captured.get()
    assert "chrf" in text
    assert "10.5" in text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_shows_scores(run: RunDirectory, language: str) -> None:
    table = ranking_table(read_source(run), load_strings(language))
    columns = {column["key"]: column for column in table["columns"]}
    assert columns["score_chrf"] == {"key": "score_chrf", "title": "chrF", "kind": "perplexity"}
    assert columns["score_exact_match"]["kind"] == "percent"
    assert "score_bleu" not in columns
    by_trial = {row["trial"]: row for row in table["rows"]}
    assert by_trial[2]["score_chrf"] == 12.5


def test_a_comparison_shows_scores(run: RunDirectory) -> None:
    page = render_comparison(open_compared_runs([f"{run.path}:0", f"{run.path}:2"]))
    assert '<th scope="col">chrF</th>' in page
    assert ">12.50<" in page


def test_an_exported_schedule_names_its_scores(run: RunDirectory, tmp_path: Path) -> None:
    ranking = make_ranking(run)
    exported = schedule_file_of(ranking, 2, study=run.study(), setup=run.setup(), where="here")
    assert exported.provenance.scores == {"chrf": 12.5, "exact_match": 0.25}
    assert parse_schedule_file(dump_schedule_file(exported), "best.yaml") == exported
    bare = schedule_file_of(ranking, 1, study=run.study(), setup=run.setup(), where="here")
    assert "scores" not in dump_schedule_file(bare)
