"""The stage store: states at grid points, found by content address, shared by all processes of a search.

A node is a folder `<root>/<first two digits>/<key>/` with the files of a state and a manifest. It appears by one
rename, so it is either complete or missing; an existing node wins over a newcomer, which holds the same bits. A
node is checked against its checksums before it is read; a damaged one is dropped, and trained again when it is
needed.

Any number of processes may read, write and collect at once. Nothing waits.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mbo_search.errors import StoreError
from mbo_search.store.eviction import ONE_USE, keeping_value
from mbo_search.store.leases import Leases, removal_lease
from mbo_search.store.manifest import (
    MANIFEST,
    Manifest,
    describe_files,
    num_evaluations,
    read_manifest,
    verify_files,
    write_manifest,
)
from mbo_search.store.node_store import StoredNode
from mbo_search.system.files import fsync_folder, remove_leftovers, unique_sibling, unreadable
from mbo_search.trial.reports import BoundaryReport, Node

_KEY = re.compile(r"[0-9a-f]{64}")
_SHARD = re.compile(r"[0-9a-f]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    folder: Path
    size_bytes: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """Content of a manifest, and the identity of its file: a manifest is only replaced, never modified."""

    inode: int
    file_bytes: int
    size_bytes: int
    seconds: float


class StageStore:
    """A content-addressed store of training states.

    What this object loaded or committed is held against removal until `release`, in every process.

    Args:
        root: Its folder; made by the first commit.
        limit_bytes: What `collect` shrinks it to; None: no limit.
        windows_fingerprint: Fingerprint of the evaluation windows; reports on other windows are not seen.
    """

    def __init__(self, root: Path, limit_bytes: int | None, windows_fingerprint: str) -> None:
        self._root = root
        self._limit_bytes = limit_bytes
        self._fingerprint = windows_fingerprint
        self._protected: frozenset[str] = frozenset()
        self._expected_uses: Mapping[str, float] = {}
        self._holds = Leases()
        self._known: dict[str, _Known] = {}

    def has(self, key: str) -> bool:
        """Return whether a node with a report on these windows exists; only `load` checks that it is sound.

        Raises:
            StoreError: If the key is malformed.
            UserError: If a node exists that this user may not read.
        """
        folder = self._folder(key)
        try:
            return self._fingerprint in read_manifest(folder, key).reports
        except PermissionError as error:
            raise unreadable(Path(error.filename or folder)) from error
        except (OSError, StoreError):
            return False

    def report(self, key: str) -> BoundaryReport | None:
        """Return what the training of a node gave and cost; None if it is missing. Its files are not checked.

        Raises:
            StoreError: If the key is malformed.
            UserError: If a node exists that this user may not read.
        """
        folder = self._folder(key)
        try:
            return read_manifest(folder, key).reports.get(self._fingerprint)
        except PermissionError as error:
            raise unreadable(Path(error.filename or folder)) from error
        except (OSError, StoreError):
            return None

    def load(self, key: str) -> StoredNode:
        """Check a node against its checksums and lease it.

        Raises:
            StoreError: If the node is missing or damaged; a damaged one is dropped.
            UserError: If this user may not read it.
        """
        folder = self._folder(key)
        try:
            self._holds.take(folder)
            manifest = self._sound(folder, key)
            report = manifest.reports[self._fingerprint]
        except PermissionError as error:
            self._holds.drop(folder)
            raise unreadable(Path(error.filename or folder)) from error
        except (OSError, KeyError) as error:
            self._holds.drop(folder)
            raise StoreError(f"node {key[:12]} cannot be read: {error}") from error
        _touch(folder)
        return StoredNode(node=Node(key=key, path=folder), report=report)

    def commit(self, key: str, state_dir: Path, report: BoundaryReport) -> Node:
        """Take over a state durably, and lease it; if the node exists, the newcomer is removed.

        Raises:
            StoreError: If the disk is full or read-only, or the folder is not a state; it stays where it is.
        """
        folder = self._folder(key)
        try:
            manifest = Manifest(
                key=key,
                files=describe_files(state_dir),
                seconds=report.cost.train_seconds,
                reports={self._fingerprint: report},
            )
            write_manifest(state_dir, manifest)
            self._place(state_dir, folder, manifest)
        except OSError as error:
            self._holds.drop(state_dir)
            raise StoreError(f"node {key[:12]} cannot be kept in {self._root}: {error}") from error
        return Node(key=key, path=folder)

    def release(self) -> None:
        """End all leases: what was loaded or committed may be collected."""
        self._holds.drop_all()

    def protect(self, keys: Iterable[str]) -> None:
        """Keep exactly these nodes from being collected by this object, leased or not."""
        self._protected = frozenset(keys)

    def expect(self, uses: Mapping[str, float]) -> None:
        """Set how often nodes are likely to be used again; the others are expected to be used once."""
        self._expected_uses = dict(uses)

    def collect(self) -> int:
        """Remove the nodes that are worth least until the store fits its limit.

        Nodes that are protected, or held by any process, stay.
        """
        if self._limit_bytes is None:
            return 0
        for shard in _listing(self._root):
            remove_leftovers(shard)
        entries = sorted(self._entries(), key=lambda entry: entry.value)
        excess = sum(entry.size_bytes for entry in entries) - self._limit_bytes
        freed = 0
        for entry in entries:
            if freed >= excess:
                break
            if entry.folder.name not in self._protected and _remove(entry.folder):
                freed += entry.size_bytes
        return freed

    def size_bytes(self) -> int:
        """Bytes of all states."""
        return sum(entry.size_bytes for entry in self._entries())

    def _folder(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise StoreError(f"{key!r} is not a key of 64 hexadecimal digits")
        return self._root / key[:2] / key

    def _sound(self, folder: Path, key: str) -> Manifest:
        try:
            manifest = read_manifest(folder, key)
            verify_files(folder, manifest.files)
        except (StoreError, FileNotFoundError) as error:
            self._holds.drop(folder)
            _discard(folder)
            raise StoreError(f"node {key[:12]} is damaged and was dropped: {error}") from error
        return manifest

    def _place(self, state_dir: Path, folder: Path, manifest: Manifest) -> None:
        """Rename a state to its key, unless a sound node has that name."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._holds.take(state_dir)
        if _rename(state_dir, folder):
            fsync_folder(folder.parent)
            self._holds.follow(state_dir, folder)
            return
        try:
            self._holds.take(folder)
            existing = self._sound(folder, manifest.key)
        except (StoreError, FileNotFoundError):
            if not _rename(state_dir, folder):
                raise
            self._holds.follow(state_dir, folder)
            return
        self._join_report(folder, existing, manifest.reports[self._fingerprint])
        self._holds.drop(state_dir)
        shutil.rmtree(state_dir)

    def _join_report(self, folder: Path, existing: Manifest, mine: BoundaryReport) -> None:
        other = existing.reports.get(self._fingerprint)
        if other is None or num_evaluations(other) < num_evaluations(mine):
            write_manifest(folder, existing.with_report(self._fingerprint, mine))

    def _entries(self) -> Iterator[_Entry]:
        now, known = time.time(), {}
        for folder in self._node_folders():
            try:
                found = (folder / MANIFEST).stat()
                node = known[folder.name] = self._read(folder, found)
            except (OSError, StoreError):
                size_bytes, value = _disk_bytes(folder), 0.0
            else:
                size_bytes = node.size_bytes
                value = keeping_value(
                    seconds=node.seconds,
                    size_bytes=size_bytes,
                    idle_seconds=now - found.st_mtime,
                    expected_uses=self._expected_uses.get(folder.name, ONE_USE),
                )
            yield _Entry(folder=folder, size_bytes=size_bytes, value=value)
        self._known = known

    def _read(self, folder: Path, found: os.stat_result) -> _Known:
        """Return the content of a node's manifest; one that was read before is not read again."""
        known = self._known.get(folder.name)
        if known is not None and (known.inode, known.file_bytes) == (found.st_ino, found.st_size):
            return known
        manifest = read_manifest(folder, folder.name)
        return _Known(
            inode=found.st_ino,
            file_bytes=found.st_size,
            size_bytes=manifest.size_bytes,
            seconds=manifest.seconds,
        )

    def _node_folders(self) -> Iterator[Path]:
        for shard in _listing(self._root):
            if _SHARD.fullmatch(shard.name):
                yield from (folder for folder in _listing(shard) if _KEY.fullmatch(folder.name))


def _remove(folder: Path) -> bool:
    with removal_lease(folder) as mine:
        if mine:
            _discard(folder)
    return mine


def _discard(folder: Path) -> None:
    """Remove a node by one rename, so that no process sees half of one."""
    trash = unique_sibling(folder)
    try:
        folder.rename(trash)
    except OSError:
        return  # gone already, or the disk is read-only and it will be found damaged again
    shutil.rmtree(trash, ignore_errors=True)


def _rename(state_dir: Path, folder: Path) -> bool:
    """Rename, with a copy from another file system if needed; False if the name is taken."""
    try:
        state_dir.rename(folder)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        if error.errno != errno.EXDEV:
            raise
        return _rename_copy(state_dir, folder)
    return True


def _rename_copy(state_dir: Path, folder: Path) -> bool:
    copy = unique_sibling(folder)
    try:
        shutil.copytree(state_dir, copy)
        describe_files(copy)
        fsync_folder(copy)
        placed = _rename(copy, folder)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    if placed:
        shutil.rmtree(state_dir)
    return placed


def _listing(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _disk_bytes(folder: Path) -> int:
    """Bytes of the files in a folder, which other processes may be removing."""
    try:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    except FileNotFoundError:
        return 0


def _touch(folder: Path) -> None:
    """Note that a node was asked for; on a read-only disk nothing is collected anyway."""
    try:
        os.utime(folder / MANIFEST)
    except OSError:
        return
