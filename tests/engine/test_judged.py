"""Proves that every run on a fresh seed is judged document by document on text that the search left out, with equal
bits however it came about, and that studies of earlier versions go on with the windows that they have."""

from __future__ import annotations

import json
import math

import pytest

from mbo_search.data.prepare import prepare
from mbo_search.engine.control.trial_cost import duplicate_record
from mbo_search.engine.fork import fork_study
from mbo_search.engine.plan import make_plan
from mbo_search.engine.run import RunOptions, resume_study, run_study
from mbo_search.engine.tasks import read_tasks
from mbo_search.export.replay import replay
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.schedule_file import load_schedule_file
from mbo_search.testing.studies import tiny_study
from mbo_search.train.setup.eval_text import evaluation_rows, evaluation_windows_of, over_whole_split
from mbo_search.train.setup.resolve import resolve_setup

CONFIRM = "confirm={seeds: 2, attribution: true}"


def many_documents(root, *overrides):
    """The tiny study with enough validation text to judge on."""
    return tiny_study(root, "data.validation_share=0.4", "stage_defaults.optimizer=[lion]", *overrides)


@pytest.fixture(scope="module")
def options(tiny_root):
    return RunOptions(cache=tiny_root / "cache", backend="local")


@pytest.fixture(scope="module")
def confirmed(tiny_root, options, tmp_path_factory):
    """A run that was confirmed at once."""
    out = tmp_path_factory.mktemp("judged") / "run"
    run_study(many_documents(tiny_root, CONFIRM), out, options)
    return RunDirectory.open(out)


def judgements(run):
    return {
        (record.arm, record.seed, record.budget_multiple, record.schedule.model_dump_json()): (
            record.judged_loss,
            record.document_nats,
        )
        for record in run.records()
        if not record.is_search
    }


def test_runs_on_fresh_seeds_are_judged_and_searches_are_not(confirmed):
    records = confirmed.records()
    assert {record.arm for record in records if not record.is_search} == {"confirm", "tokens", "attribution"}
    for record in records:
        assert (record.judged_loss is None) == record.is_search
        assert (record.test_loss is not None) == (record.arm == "confirm")
    for record in (record for record in records if not record.is_search):
        assert len(record.document_tokens) >= 20
        mean = math.fsum(record.document_nats) / sum(record.document_tokens)
        assert record.judged_loss == mean
        assert record.judged_loss == pytest.approx(record.val_loss, abs=0.5)
    assert len({record.document_tokens for record in records if not record.is_search}) == 1


def test_a_plan_counts_what_runs_are_judged_on(confirmed, tiny_root, tiny, tmp_path):
    plan = make_plan(many_documents(tiny_root), cache=tiny_root / "cache")
    judged = next(record for record in confirmed.records() if record.arm == "confirm")
    assert plan.judged_documents == len(judged.document_tokens)
    assert plan.judged_tokens == sum(judged.document_tokens)
    assert (plan.num_windows, plan.why_not_judged) == (16, "")
    small = make_plan(tiny, cache=tiny_root / "cache")
    assert (small.judged_documents, small.judged_tokens, small.num_windows) == (0, 0, 16)
    assert "20 other documents with 2000 tokens" in small.why_not_judged


def test_a_confirmation_in_a_later_process_judges_to_the_same_bits(confirmed, tiny_root, options, tmp_path):
    run_study(many_documents(tiny_root), tmp_path / "run", options)
    resume_study(tmp_path / "run", options, [CONFIRM])
    later = RunDirectory.open(tmp_path / "run")
    assert judgements(later) == judgements(confirmed)
    assert len(judgements(later)) > 4


@pytest.mark.ray
@pytest.mark.timeout(600)
def test_ray_judges_to_the_same_bits(confirmed, drive, tiny_root, tmp_path):
    process = drive(many_documents(tiny_root, CONFIRM), tiny_root, tmp_path / "run")
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    assert judgements(RunDirectory.open(tmp_path / "run")) == judgements(confirmed)


def test_a_fork_judges_on_the_same_documents(confirmed, tiny_root, tmp_path):
    forked = fork_study(confirmed.path, tmp_path / "fork", ["search.trials=7"], cache=tiny_root / "cache")
    assert forked.reused
    setup = RunDirectory.open(tmp_path / "fork").setup()
    assert setup.judged_fingerprint == confirmed.setup().judged_fingerprint is not None


def test_what_is_known_of_an_equal_run_holds_its_judgement_outside_the_search_only(confirmed):
    known = next(record for record in confirmed.records() if record.arm == "confirm")
    task = next(task for task in read_tasks(confirmed.trials) if task.trial == known.trial)
    again = duplicate_record(task, known, ended_at=1.0)
    assert (again.judged_loss, again.document_nats) == (known.judged_loss, known.document_nats)
    searched = duplicate_record(task.model_copy(update={"arm": "staged"}), known, ended_at=1.0)
    assert (searched.judged_loss, searched.document_tokens, searched.document_nats) == (None, (), ())
    assert (searched.test_loss, searched.val_loss) == (None, known.val_loss)
    assert type(searched).model_validate_json(searched.model_dump_json()) == searched


@pytest.fixture(scope="module")
def earlier(tiny_root, options, tmp_path_factory):
    """A run directory as versions made it that knew of no judged documents, confirmed by this one."""
    out = tmp_path_factory.mktemp("earlier") / "run"
    study = many_documents(tiny_root)
    prepared = prepare(study.data, options.cache)
    setup = over_whole_split(resolve_setup(study, prepared, 1), prepared)
    RunDirectory.create(out, study, setup)
    written = json.loads((out / "setup.json").read_text(encoding="utf-8"))
    del written["judged_fingerprint"]
    (out / "setup.json").write_text(json.dumps(written), encoding="utf-8")
    resume_study(out, options)
    resume_study(out, options, ["confirm={seeds: 1, attribution: true}"])
    return RunDirectory.open(out)


def test_an_earlier_study_keeps_its_windows_and_is_judged_on_nothing(earlier, confirmed, options):
    prepared = prepare(earlier.study().data, options.cache)
    windows = evaluation_windows_of(prepared, context=16, num_tokens=256)
    assert evaluation_rows(prepared, earlier.setup()).windows == windows
    assert earlier.setup().windows_fingerprint != confirmed.setup().windows_fingerprint
    for record in earlier.records():
        assert (record.state, record.message.startswith("no ")) == ("complete", False)
        assert (record.judged_loss, record.document_tokens, record.document_nats) == (None, (), ())
        assert (record.test_loss is not None) == (record.arm == "confirm")


@pytest.mark.parametrize("name", ["earlier", "confirmed"])
def test_a_replay_measures_on_the_windows_of_its_study(name, request, options, tmp_path):
    run = request.getfixturevalue(name)
    file = load_schedule_file(run.best_yaml)
    assert (file.provenance.judged_fingerprint is None) == (name == "earlier")
    assert replay(file, cache=options.cache, folder=tmp_path / "work").is_equal
