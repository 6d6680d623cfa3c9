"""Opening the stage store that a study names: the run directory's own folder, a shared folder, or a URL."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mbo_search.store.local import StageStore
from mbo_search.store.node_store import NodeStore

_FREE_SHARE = 0.5
"""Share of the free disk space that a local copy may take."""


def open_node_store(
    folder: Path, *, url: str | None, limit_bytes: int | None, windows_fingerprint: str
) -> NodeStore:
    """Open a stage store.

    Raises:
        UserError: If no file system takes the URL.
    """
    shared = None if url is None else local_folder(url)
    if url is None or shared is not None:
        return StageStore(folder if shared is None else shared / "stages", limit_bytes, windows_fingerprint)
    from mbo_search.store.remote import RemoteStageStore
    from mbo_search.system.object_storage import ObjectFolder

    folder.mkdir(parents=True, exist_ok=True)
    return RemoteStageStore(
        ObjectFolder.at(url),
        folder,
        limit_bytes=limit_bytes,
        local_limit_bytes=int(shutil.disk_usage(folder).free * _FREE_SHARE),
        windows_fingerprint=windows_fingerprint,
    )


def local_folder(url: str) -> Path | None:
    """The folder that a URL or path names on a mounted file system; None for anything else.

    >>> local_folder("/shared/stages"), local_folder("file:///shared/a%20b"), local_folder("s3://bucket/prefix")
    (PosixPath('/shared/stages'), PosixPath('/shared/a b'), None)
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(url)


def store_url(place: str) -> str:
    """A path or URL as a URL.

    >>> store_url("/shared/a b"), store_url("s3://bucket/prefix")
    ('file:///shared/a%20b', 's3://bucket/prefix')
    """
    folder = local_folder(place)
    return place if folder is None else folder.as_uri()
