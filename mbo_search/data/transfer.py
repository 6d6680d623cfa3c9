"""Prepared data in a store: sent once by fingerprint, fetched by every machine that trains on it."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from pydantic import ValidationError

from mbo_search.data.metadata import DataMetadata
from mbo_search.data.prepare import METADATA, PreparedData, load_prepared
from mbo_search.errors import DataError, Problem
from mbo_search.system.files import fsync_folder, open_to_others, read_json, sha256_file
from mbo_search.system.object_storage import ObjectFolder

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,99})?")
_MOST_METADATA_BYTES = 16 * 2**20


def send_prepared(prepared: PreparedData, objects: ObjectFolder) -> None:
    """Send prepared data, the metadata last, unless they are there.

    Raises:
        OSError: If they cannot be sent.
    """
    folder = _folder(prepared.metadata.fingerprint)
    if objects.info(f"{folder}/{METADATA}") is not None:
        return
    for name in prepared.metadata.files:
        objects.put(f"{folder}/{name}", prepared.folder / name)
    objects.put(f"{folder}/{METADATA}", (prepared.folder / METADATA).read_bytes())


def fetch_prepared(fingerprint: str, objects: ObjectFolder, cache: Path) -> PreparedData:
    """Prepared data on this machine: from the cache, or fetched and checked.

    Raises:
        DataError: If the store has no such data, or damaged ones.
        OSError: If it does not respond.
    """
    target = cache / fingerprint
    if target.is_dir():
        try:
            return load_prepared(target)
        except DataError:
            shutil.rmtree(target, ignore_errors=True)
    cache.mkdir(parents=True, exist_ok=True)
    incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=cache))
    try:
        _fetch(fingerprint, objects, incoming)
        open_to_others(incoming)
        try:
            incoming.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was faster
                raise
        fsync_folder(cache)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return load_prepared(target)


def _fetch(fingerprint: str, objects: ObjectFolder, incoming: Path) -> None:
    folder = _folder(fingerprint)
    try:
        objects.get(f"{folder}/{METADATA}", incoming / METADATA, most_bytes=_MOST_METADATA_BYTES)
        metadata = DataMetadata.model_validate(read_json(incoming / METADATA), strict=False)
        if metadata.fingerprint != fingerprint:
            raise ValueError("card.json belongs to other data")
        for name, file in metadata.files.items():
            if not _FILE_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a file of prepared data")
            (incoming / name).parent.mkdir(exist_ok=True)
            objects.get(f"{folder}/{name}", incoming / name, most_bytes=file.size_bytes + 1)
            if sha256_file(incoming / name) != file.sha256:
                raise ValueError(f"{name} differs from its digest")
    except (FileNotFoundError, ValueError, ValidationError) as error:
        rule = f"holds no sound copy of the prepared data {fingerprint[:12]}: {error}"
        hint = "remove what is there; the driver sends it again"
        raise DataError([Problem(key="", where=objects.url, rule=rule, hint=hint)]) from error


def _folder(fingerprint: str) -> str:
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise DataError(f"{fingerprint!r} is not a fingerprint of data")
    return f"data/{fingerprint}"
