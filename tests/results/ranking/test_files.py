"""The ranking of a run directory is written whole, reads back equal, and hands out schedules with their origin."""

from __future__ import annotations

import csv
import json

import pytest
from jsonschema import Draft202012Validator

from mbo_search.errors import RunDirectoryError
from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.results.ranking.files import make_ranking, scale_of, write_ranking
from mbo_search.results.ranking.frames import RANKING_COLUMNS
from mbo_search.results.ranking.provenance import schedule_file_of
from mbo_search.study.files.schedule_file import load_schedule_file
from mbo_search.testing.runs import build_run, make_setup, make_study


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return build_run(tmp_path_factory.mktemp("built") / "run", num_trials=24, confirm_seeds=6)


@pytest.fixture(scope="module")
def ranking(run):
    ranking = make_ranking(run)
    write_ranking(run, ranking)
    return ranking


def test_json_reads_back_equal_and_fits_its_schema(run, ranking):
    text = run.ranking_json.read_text()
    assert Ranking.model_validate_json(text) == ranking
    schema = Ranking.model_json_schema(by_alias=True, mode="serialization")
    Draft202012Validator(schema).validate(json.loads(text))


def test_writing_again_changes_nothing(run, ranking):
    before = run.ranking_json.read_bytes(), run.ranking_csv.read_bytes()
    again = make_ranking(run)
    assert again == ranking
    write_ranking(run, again)
    assert (run.ranking_json.read_bytes(), run.ranking_csv.read_bytes()) == before


def test_csv_has_the_documented_columns_and_a_row_a_schedule(run, ranking):
    with run.ranking_csv.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == RANKING_COLUMNS
    assert [int(row["trial"]) for row in rows] == [row.trial for row in ranking.trials]
    assert rows[0]["rank"] == "1"
    assert float(rows[0]["val_loss"]) == ranking.trials[0].val_loss
    assert rows[-1]["rank"] == rows[-1]["val_loss"] == ""
    assert rows[0]["num_runs"] == "7"


def test_best_yaml_is_the_top_of_the_ranking_with_its_origin(run, ranking):
    best, top = load_schedule_file(run.best_yaml), ranking.trials[0]
    assert best.schedule.stages == top.stages
    provenance = best.provenance
    assert (provenance.trial, provenance.arm, provenance.confirmed) == (top.trial, top.arm, True)
    assert (provenance.val_loss, provenance.search_loss) == (top.val_loss, top.search_val_loss)
    assert provenance.seed == run.study().seed
    assert provenance.root_key == run.setup().root_key(provenance.seed)
    assert provenance.numerics == run.setup().numerics
    assert {"python", "torch", "mbo-search"} <= set(provenance.versions)


def test_best_yaml_of_an_unconfirmed_search_says_so(tmp_path):
    run = build_run(tmp_path / "run", num_trials=6)
    write_ranking(run, make_ranking(run))
    provenance = load_schedule_file(run.best_yaml).provenance
    assert not provenance.confirmed
    assert provenance.val_loss == provenance.search_loss


def test_every_complete_trial_can_be_handed_out_and_no_other(run, ranking):
    origin = {"study": run.study(), "setup": run.setup(), "where": str(run.path)}
    for row in ranking.trials:
        if row.rank is not None:
            assert schedule_file_of(ranking, row.trial, **origin).schedule.stages == row.stages
    partial = next(row.trial for row in ranking.trials if row.rank is None)
    with pytest.raises(RunDirectoryError, match=f"trial: {partial} is pruned; only complete schedules"):
        schedule_file_of(ranking, partial, **origin)
    with pytest.raises(RunDirectoryError, match=r"trial: 999 is not a schedule of this study \(complete"):
        schedule_file_of(ranking, 999, **origin)


def test_a_study_without_trials_has_a_ranking_and_no_best_schedule(tmp_path):
    run = build_run(tmp_path / "run", num_trials=1)
    run.record_file(0).unlink()
    ranking = make_ranking(run)
    write_ranking(run, ranking)
    assert ranking.trials == ()
    assert ranking.verdict.sentence.startswith("No schedule has ended yet.")
    assert run.ranking_csv.read_text() == ",".join(RANKING_COLUMNS) + "\n"
    assert not run.best_yaml.exists()


def test_damaged_records_are_left_out(run, tmp_path):
    damaged = build_run(tmp_path / "run", num_trials=6)
    damaged.record_file(2).write_text("{")
    assert {row.trial for row in make_ranking(damaged).trials} == {0, 1, 3, 4, 5}


def test_a_later_round_of_confirming_has_less_error_to_spend(tmp_path):
    run = build_run(tmp_path / "run", num_trials=12, confirm_seeds=6)
    first = [one for one in make_ranking(run).comparisons if one.role == "declared"]
    assert {(one.round, one.test.spending.better) for one in first} == {(1, 0.035)}
    # One upper end suffices for a no, so the opponents share its error; together the interval has 95 %.
    assert sum(one.test.spending.worse for one in first) == pytest.approx(0.015)
    assert make_ranking(run).verdict.difference.nats.level == 0.95
    last = max(record.trial for record in run.records())
    champion = next(record for record in run.records() if record.trial == first[0].trial)
    better = champion.schedule.stages[-1].model_copy(update={"lr": 0.00777})
    changed = champion.schedule.model_copy(update={"stages": (*champion.schedule.stages[:-1], better)})
    fields = {"schedule": changed, "trial": last + 1, "optuna_number": None, "val_loss": 0.5}
    run.write_record(champion.model_copy(update=fields), [])
    for seed in range(1, 7):
        again = {"arm": "confirm", "trial": last + 1 + seed, "seed": seed, "val_loss": 3.0 + 0.01 * seed % 0.03}
        run.write_record(champion.model_copy(update=fields | again), [])
    second = [one for one in make_ranking(run).comparisons if one.role == "declared"]
    assert {(one.trial, one.round) for one in second} == {(last + 1, 2)}
    assert {one.test.spending.better for one in second} == {0.0075}


def test_scale_names_parameters_and_tokens():
    assert scale_of(make_setup(make_study())) == "at 0.06 M parameters, 0.1 M tokens"
