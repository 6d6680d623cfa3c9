"""Rules for places outside the run directory: a stage store at a URL, a database of the search.

A study is copied into run directories, reports and exports, so no password may stand in one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import SplitResult, parse_qsl, urlsplit

from mbo_search.errors import Problem
from mbo_search.study.spec.study import StudySpec

_STORE_SCHEMES = ("s3", "gs", "file")
_DATABASES = ("postgresql+psycopg",)
_SECRET = re.compile(r"passw|secret|token|access_?key|credential|sig(nature)?$", re.IGNORECASE)


def check_places(study: StudySpec) -> Iterator[Problem]:
    """URLs are of a kind that is known, and hold no credentials."""
    if study.resources.store.url is not None:
        yield from _check_store("resources.store.url", study.resources.store.url)
    if study.search.storage is not None:
        yield from _check_database("search.storage", study.search.storage)


def _check_store(key: str, url: str) -> Iterator[Problem]:
    parts = _split(url)
    if parts is None:
        yield Problem(key=key, rule="is not a URL")
    elif _has_credentials(parts, user_is_secret=True):
        hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a profile, on every machine"
        yield Problem(key=key, rule="must not hold credentials; the study is copied and shown", hint=hint)
    elif not parts.scheme and not PurePosixPath(url).is_absolute():
        yield Problem(key=key, value=url, rule="must be an absolute path, or a URL such as s3://bucket/prefix")
    elif parts.scheme and parts.scheme not in _STORE_SCHEMES:
        rule = f"begins with {parts.scheme}; known are {', '.join(_STORE_SCHEMES)}"
        yield Problem(key=key, value=url, rule=rule)
    elif parts.scheme and parts.scheme != "file" and not parts.netloc:
        yield Problem(key=key, value=url, rule="names no bucket")


def _check_database(key: str, url: str) -> Iterator[Problem]:
    parts = _split(url)
    if parts is None or parts.scheme not in _DATABASES:
        rule = f"must begin with {' or '.join(f'{name}://' for name in _DATABASES)}"
        hint = "leave it out for SQLite in the run directory"
        yield Problem(key=key, rule=rule, hint=hint)
    elif _has_credentials(parts, user_is_secret=False):
        hint = "put it into PGPASSWORD or a password file (~/.pgpass)"
        yield Problem(key=key, rule="must not hold a password; the study is copied and shown", hint=hint)


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _has_credentials(parts: SplitResult, *, user_is_secret: bool) -> bool:
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    has_user = user_is_secret and parts.username is not None
    return has_user or parts.password is not None or any(_SECRET.search(name) for name in names)
