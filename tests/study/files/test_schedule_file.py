"""Proves that schedule files hold a whole schedule, read back equal in YAML and JSON, and name their mistakes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbo_search.errors import StudyError
from mbo_search.study.examples import example_names, example_path
from mbo_search.study.files.schedule_file import (
    Provenance,
    ScheduleFile,
    dump_schedule_file,
    load_schedule,
    load_schedule_file,
    parse_schedule_file,
    sections_of,
)
from mbo_search.study.files.study_file import load_study
from mbo_search.study.space.space import propose, staged_space
from tests.helpers.suggest import RandomSuggest

EXAMPLES = [load_study(example_path(name)) for name in example_names()]
PROVENANCE = Provenance(
    trial=7,
    arm="staged",
    seed=0,
    val_loss=3.25,
    val_perplexity=25.79,
    confirmed=False,
    data_fingerprint="12",
    root_key="0e10",
    versions={"torch": "2.13.0"},
    numerics={"threads": 1, "device": "cpu"},
    created="2026-11-21T12:00:00Z",
)


def schedule_file(example, seed):
    schedule = propose(staged_space(example), RandomSuggest(seed))
    return ScheduleFile(study=sections_of(example), schedule=schedule, provenance=PROVENANCE)


FILE = schedule_file(EXAMPLES[0], 0)
TEXT = dump_schedule_file(FILE)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=25)
@given(st.sampled_from(EXAMPLES), st.integers(0, 2**32))
def test_what_is_written_reads_back_equal(example, seed):
    file = schedule_file(example, seed)
    assert parse_schedule_file(dump_schedule_file(file), "best.yaml") == file
    assert parse_schedule_file(file.model_dump_json(), "best.json") == file


def test_stages_begin_with_their_names_for_people():
    assert f"    - name: {FILE.schedule.stages[0].name}\n      share: " in TEXT


def test_a_file_gives_its_schedule_alone_as_well(tmp_path):
    path = tmp_path / "best.yaml"
    path.write_text(TEXT)
    assert load_schedule_file(path) == FILE
    assert load_schedule(path) == FILE.schedule


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "mbo-search/schedule/1",
            "mbo-search/schedule/9",
            "best.yaml:1:17: schema_version: mbo-search/schedule/9 must be",
        ),
        ("  trial: 7", "  trail: 7", "provenance.trail: is not a known key (did you mean trial?)"),
        ("trial: 7", "trial: seven", "provenance.trial: seven must be a whole number"),
        ("confirmed: false", "confirmed: no", "provenance.confirmed: no must be true or false"),
        ("  seed: 0\n  data", "  data", "study.seed: is missing"),
        ("beta1:", "beta7:", "schedule.stages.0.hparams: "),
        ("provenance:", "provenance: &p", "has an anchor (&p)"),
    ],
)
def test_mistakes_are_named_with_their_place(old, new, message):
    assert old in TEXT
    with pytest.raises(StudyError) as caught:
        parse_schedule_file(TEXT.replace(old, new, 1), "best.yaml")
    assert message in str(caught.value)


def test_names_outside_the_catalogue_are_refused():
    optimizer = FILE.schedule.stages[0].optimizer
    with pytest.raises(StudyError, match="is not an optimizer; known are adafactor, adam"):
        parse_schedule_file(TEXT.replace(f"optimizer: {optimizer}", "optimizer: adagrad"), "best.yaml")
    with pytest.raises(StudyError, match="is not a learning-rate shape"):
        parse_schedule_file(TEXT.replace("kind: constant", "kind: stairs"), "best.yaml")


def test_what_is_no_mapping_is_refused(tmp_path):
    path = tmp_path / "best.yaml"
    path.write_text("- a\n")
    with pytest.raises(StudyError, match="must be a mapping with the keys of a schedule file"):
        load_schedule(path)
