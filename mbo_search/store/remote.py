"""The stage store at a URL: nodes that workers on any machine share, each with a local copy.

A node is a group of objects `nodes/<first two digits>/<key>/`: its files, each named by its checksum, and a
manifest that is written last. So a node with a manifest is complete, and two writers of one node never mix their
files. What comes in is checked against its checksums before it is used; what is damaged is dropped and trained
again.

Training reads and writes the local copy, a store of its own. It holds what it uses, so removing a remote node never
takes a state away from a trial.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mbo_search.errors import StoreError
from mbo_search.store.eviction import ONE_USE, keeping_value
from mbo_search.store.local import StageStore
from mbo_search.store.manifest import (
    MANIFEST,
    FileEntry,
    Manifest,
    describe_files,
    num_evaluations,
    read_manifest,
    verify_files,
    write_manifest,
)
from mbo_search.store.node_store import StoredNode
from mbo_search.system.files import open_to_others
from mbo_search.system.object_storage import ObjectFolder, ObjectInfo
from mbo_search.trial.reports import BoundaryReport, Node

_KEY = re.compile(r"[0-9a-f]{64}")
_PLAIN_NAME = re.compile(r"([A-Za-z0-9_][A-Za-z0-9._-]{0,99}/){0,20}[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_NODES = "nodes"
_MOST_MANIFEST_BYTES = 16 * 2**20
_MISSING_FOR_SECONDS = 1.0
_KNOWN_FOR_SECONDS = 60.0
_UPLOAD_SECONDS = 3600.0
"""Files without a manifest may belong to a node that is being written; older ones are leftovers."""


class RemoteStageStore:
    """A stage store at a URL.

    Args:
        objects: Where the nodes are.
        local: Folder of the local copy; made where it is missing.
        limit_bytes: What `collect` shrinks the remote store to; None: no limit.
        local_limit_bytes: What the local copy is kept to; None: no limit.
        windows_fingerprint: Fingerprint of the evaluation windows; reports on other windows are not seen.
    """

    def __init__(
        self,
        objects: ObjectFolder,
        local: Path,
        *,
        limit_bytes: int | None,
        local_limit_bytes: int | None,
        windows_fingerprint: str,
    ) -> None:
        self._objects = objects
        self._local_root = local
        self._local = StageStore(local, local_limit_bytes, windows_fingerprint)
        self._limit_bytes = limit_bytes
        self._fingerprint = windows_fingerprint
        self._protected: frozenset[str] = frozenset()
        self._expected_uses: Mapping[str, float] = {}
        self._asked: dict[str, tuple[bool, float]] = {}
        self._seconds: dict[tuple[str, float], float] = {}

    def has(self, key: str) -> bool:
        """Return whether a node with a report on these windows exists, as the store said lately.

        Raises:
            StoreError: If the key is malformed.
        """
        if self._local.has(key):
            return True
        was_there, asked = self._asked.get(key, (False, -_KNOWN_FOR_SECONDS))
        if time.monotonic() - asked < (_KNOWN_FOR_SECONDS if was_there else _MISSING_FOR_SECONDS):
            return was_there
        try:
            is_there = self._fingerprint in self._manifest(key).reports
        except (OSError, StoreError):
            is_there = False
        self._asked[key] = is_there, time.monotonic()
        return is_there

    def report(self, key: str) -> BoundaryReport | None:
        """Return what the training of a node gave and cost; None if it is missing or the store does not respond.

        Raises:
            StoreError: If the key is malformed.
        """
        known = self._local.report(key)
        if known is not None:
            return known
        try:
            return self._manifest(key).reports.get(self._fingerprint)
        except (OSError, StoreError):
            return None

    def load(self, key: str) -> StoredNode:
        """Fetch a node, check it against its checksums, and lease the local copy.

        Raises:
            StoreError: If the node is missing, unreadable or damaged; a damaged one is dropped.
        """
        if self._local.has(key):
            try:
                return self._local.load(key)
            except StoreError:
                self._asked.pop(key, None)  # the copy was damaged and is gone; the node itself may be sound
        with self._incoming() as folder:
            report = self._fetch(key, folder)
            open_to_others(folder)
            self._local.commit(key, folder, report)
        return self._local.load(key)

    def commit(self, key: str, state_dir: Path, report: BoundaryReport) -> Node:
        """Send a state, files first and manifest last, and take it over into the local copy; see `NodeStore`."""
        _check_key(key)
        try:
            files = describe_files(state_dir)
            for name, entry in files.items():
                self._objects.put(f"{_folder(key)}/{entry.sha256}", state_dir / name)
            self._publish(key, files, report)
        except OSError as error:
            raise StoreError(f"node {key[:12]} cannot be kept in {self._objects.url}: {error}") from error
        self._asked[key] = True, time.monotonic()
        return self._local.commit(key, state_dir, report)

    def release(self) -> None:
        """End all leases, and keep the local copy within its limit."""
        self._local.release()
        self._local.collect()

    def protect(self, keys: Iterable[str]) -> None:
        """Keep exactly these nodes from being collected by this object."""
        self._protected = frozenset(keys)

    def expect(self, uses: Mapping[str, float]) -> None:
        """Say how often nodes are likely to be asked for again; the others are expected to be used once."""
        self._expected_uses = dict(uses)
        self._local.expect(uses)

    def collect(self) -> int:
        """Remove the nodes that are worth least until the remote store fits its limit."""
        if self._limit_bytes is None:
            return 0
        try:
            nodes = self._nodes()
            excess = sum(_size(found) for found in nodes.values()) - self._limit_bytes
            return self._shrink(nodes, excess) if excess > 0 else 0
        except OSError:
            return 0  # a store that does not respond is collected next time

    def size_bytes(self) -> int:
        """Bytes of all states.

        Raises:
            OSError: If the store does not answer.
        """
        return sum(_size(found) for found in self._nodes().values())

    def _shrink(self, nodes: dict[str, list[ObjectInfo]], excess: int) -> int:
        valued = sorted(
            (self._value(key, found), key) for key, found in nodes.items() if key not in self._protected
        )
        freed = 0
        for _, key in valued:
            if freed >= excess:
                break
            if self._is_left_alone(nodes[key]):
                continue
            self._drop(key, nodes[key])
            freed += _size(nodes[key])
        return freed

    def _value(self, key: str, found: list[ObjectInfo]) -> float:
        manifest = next((info for info in found if info.name.endswith(f"/{MANIFEST}")), None)
        if manifest is None:
            return 0.0
        known = key, manifest.modified
        if known not in self._seconds:
            try:
                self._seconds[known] = self._manifest(key).seconds
            except (OSError, StoreError):
                return 0.0
        idle_seconds = time.time() - manifest.modified
        return keeping_value(
            seconds=self._seconds[known],
            size_bytes=_size(found),
            idle_seconds=idle_seconds,
            expected_uses=self._expected_uses.get(key, ONE_USE),
        )

    @staticmethod
    def _is_left_alone(found: list[ObjectInfo]) -> bool:
        """Return whether a node may be in the process of being written: it has recent files and no manifest."""
        has_manifest = any(info.name.endswith(f"/{MANIFEST}") for info in found)
        return not has_manifest and time.time() - max(info.modified for info in found) < _UPLOAD_SECONDS

    def _nodes(self) -> dict[str, list[ObjectInfo]]:
        nodes: dict[str, list[ObjectInfo]] = {}
        for info in self._objects.listing(_NODES):
            pieces = info.name.split("/")
            if len(pieces) == 4 and _KEY.fullmatch(pieces[2]):
                nodes.setdefault(pieces[2], []).append(info)
        return nodes

    def _fetch(self, key: str, folder: Path) -> BoundaryReport:
        """Copy the files of a node into a folder and check them."""
        try:
            manifest = self._manifest(key)
        except FileNotFoundError as error:
            raise StoreError(f"node {key[:12]} cannot be read: {error}") from error
        except OSError as error:
            raise StoreError(f"{self._objects.url} cannot be read: {error}") from error
        except StoreError as error:
            self._drop(key)
            raise StoreError(f"node {key[:12]} is damaged and was dropped: {error}") from error
        if self._fingerprint not in manifest.reports:
            raise StoreError(f"node {key[:12]} cannot be read: it has no report on these windows")
        try:
            self._copy(key, manifest, folder)
        except (StoreError, FileNotFoundError) as error:
            self._drop(key)
            raise StoreError(f"node {key[:12]} is damaged and was dropped: {error}") from error
        except OSError as error:
            raise StoreError(f"{self._objects.url} cannot be read: {error}") from error
        return manifest.reports[self._fingerprint]

    def _copy(self, key: str, manifest: Manifest, folder: Path) -> None:
        if manifest.size_bytes > shutil.disk_usage(folder).free:
            raise OSError(f"{manifest.size_bytes} bytes do not fit on the disk of {self._local_root}")
        for name, entry in manifest.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            self._objects.get(f"{_folder(key)}/{entry.sha256}", folder / name, most_bytes=entry.size_bytes + 1)
        verify_files(folder, manifest.files)

    def _manifest(self, key: str) -> Manifest:
        """Read a node's manifest.

        Raises:
            FileNotFoundError: If there is none.
            OSError: If the store does not answer.
            StoreError: If it is damaged, or names what can be no file of a state.
        """
        _check_key(key)
        with self._incoming() as folder:
            target = folder / MANIFEST
            self._objects.get(f"{_folder(key)}/{MANIFEST}", target, most_bytes=_MOST_MANIFEST_BYTES)
            manifest = read_manifest(folder, key)
        for name, entry in manifest.files.items():
            is_plain = _PLAIN_NAME.fullmatch(name) and name.partition("/")[0] != MANIFEST
            if not is_plain or not _KEY.fullmatch(entry.sha256):
                raise StoreError(f"{name!r} is not a file of a state")
        return manifest

    def _publish(self, key: str, files: dict[str, FileEntry], report: BoundaryReport) -> None:
        """Write the manifest, unless the existing one holds as much."""
        mine = Manifest(
            key=key, files=files, seconds=report.cost.train_seconds, reports={self._fingerprint: report}
        )
        try:
            there = self._manifest(key)
        except (FileNotFoundError, StoreError):
            there = mine.model_copy(update={"files": {}, "reports": {}})
        other = there.reports.get(self._fingerprint)
        says_more = other is None or num_evaluations(other) < num_evaluations(report)
        if there.files == files and not says_more:
            return
        reports = {**there.reports, **({self._fingerprint: report} if says_more else {})}
        with self._incoming() as folder:
            write_manifest(folder, mine.model_copy(update={"reports": reports}))
            self._objects.put(f"{_folder(key)}/{MANIFEST}", (folder / MANIFEST).read_bytes())

    def _drop(self, key: str, found: list[ObjectInfo] | None = None) -> None:
        """Remove a node, the manifest first, so that the rest is not taken for a whole one."""
        self._asked.pop(key, None)
        manifest = f"{_folder(key)}/{MANIFEST}"
        try:
            objects = self._objects.listing(_folder(key)) if found is None else found
            self._objects.remove([manifest, *(info.name for info in objects if info.name != manifest)])
        except OSError:
            return  # a read-only or unreachable store keeps it, and it is found damaged again

    @contextmanager
    def _incoming(self) -> Iterator[Path]:
        """Create a folder for arriving files beside the local copy."""
        self._local_root.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".incoming-", dir=self._local_root))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _check_key(key: str) -> None:
    if not _KEY.fullmatch(key):
        raise StoreError(f"{key!r} is not a key of 64 hexadecimal digits")


def _folder(key: str) -> str:
    return f"{_NODES}/{key[:2]}/{key}"


def _size(found: Iterable[ObjectInfo]) -> int:
    """Bytes of the states' files, without the manifest."""
    return sum(info.size_bytes for info in found if not info.name.endswith(f"/{MANIFEST}"))
