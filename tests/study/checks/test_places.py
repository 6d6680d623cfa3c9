"""Proves that a study names stores and databases of known kinds only, and never holds a password for them."""

from __future__ import annotations

import pytest

from mbo_search.errors import StudyError
from mbo_search.study.files.study_file import load_study, parse_study
from tests.study.studies import SMALL

SECRET = "hunter2"


@pytest.mark.parametrize(
    "override",
    [
        "resources.store.url=s3://bucket/prefix?region=us-east-1",
        "resources.store.url=s3://bucket/prefix?endpoint_override=127.0.0.1:9000&scheme=http",
        "resources.store.url=gs://bucket/prefix",
        "resources.store.url=file:///shared/stages",
        "resources.store.url=/shared/stages",
        "search.storage=postgresql+psycopg://user@host:5432/name",
        "search.storage=postgresql+psycopg:///name?host=/var/run/postgresql",
    ],
)
def test_places_of_known_kinds_are_taken(override):
    study = parse_study(SMALL, "study.yaml", [override])
    assert override.partition("=")[2] in (study.resources.store.url, study.search.storage)


@pytest.mark.parametrize(
    ("override", "rule"),
    [
        (f"resources.store.url=s3://key:{SECRET}@bucket/prefix", "must not hold credentials"),
        ("resources.store.url=s3://key@bucket/prefix", "must not hold credentials"),
        (f"resources.store.url=s3://bucket/prefix?secret_key={SECRET}", "must not hold credentials"),
        (f"resources.store.url=s3://bucket/prefix?session_token={SECRET}", "must not hold credentials"),
        ("resources.store.url=ftp://host/prefix", "known are s3, gs, file"),
        ("resources.store.url=stages", "must be an absolute path"),
        ("resources.store.url=s3:///prefix", "names no bucket"),
        (f"search.storage=postgresql+psycopg://user:{SECRET}@host/name", "must not hold a password"),
        (f"search.storage=postgresql+psycopg://user@host/name?password={SECRET}", "must not hold a password"),
        ("search.storage=mysql://host/name", "must begin with postgresql"),
        ("search.storage=sqlite:///study.db", "must begin with postgresql"),
    ],
)
def test_other_places_are_refused_and_passwords_are_not_repeated(override, rule):
    with pytest.raises(StudyError, match=rule) as failure:
        parse_study(SMALL, "study.yaml", [override])
    assert SECRET not in str(failure.value)


def test_a_password_in_a_file_is_refused_as_well(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(SMALL + f"\nresources: {{store: {{url: 's3://key:{SECRET}@bucket'}}}}\n", encoding="utf-8")
    with pytest.raises(StudyError) as failure:
        load_study(file)
    assert SECRET not in str(failure.value)
