"""The manifest of a node: which files hold the state, their checksums, and what was measured there.

A manifest is written last, so a folder that has one is complete. It carries a checksum of itself, because the
numbers in it are results: a flipped digit must not pass as one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, TypeAdapter, ValidationError

from mbo_search.errors import StoreError
from mbo_search.study.spec.base import Description
from mbo_search.system.files import fsync_file, read_json, sha256_file, write_json
from mbo_search.trial.reports import BoundaryReport

MANIFEST = "manifest.json"
"""Name of the manifest in a node's folder."""

_MOST_COUNT = 10**15
_MOST_LOSS = 1e100
"""Bounds of what a record can hold."""

_COST_KEYS = {
    "executed_tokens": "executed_tokens",
    "wasted_tokens": "wasted_tokens",
    "seconds": "train_seconds",
    "peak_memory_bytes": "peak_memory_bytes",
}
"""Fields of a cost by their keys in a manifest, where they stand flat in a report."""

_REPORT = TypeAdapter(BoundaryReport)


def _with_cost(fields: Any) -> Any:
    if not isinstance(fields, dict):
        return fields
    cost = {name: fields[key] for key, name in _COST_KEYS.items() if key in fields}
    return {key: value for key, value in fields.items() if key not in _COST_KEYS} | {"cost": cost}


def _flat(report: BoundaryReport) -> dict[str, Any]:
    fields = _REPORT.dump_python(report)
    cost = fields.pop("cost")
    return {**fields, **{key: cost[name] for key, name in _COST_KEYS.items()}}


_StoredReport = Annotated[BoundaryReport, BeforeValidator(_with_cost), PlainSerializer(_flat)]


class FileEntry(Description):
    """One file of a state.

    Attributes:
        size_bytes: Its size.
        sha256: Its checksum.
    """

    size_bytes: int = Field(ge=0)
    sha256: str


class Manifest(Description):
    """Contents of a node's folder.

    Attributes:
        schema_version: Version of this format.
        key: Content address of the node.
        files: Every file besides the manifest, by its name; those in folders by their path from the node's folder.
        seconds: What it took to train the node from the node before, for deciding what to keep.
        reports: What was measured, by fingerprint of the evaluation windows.
    """

    schema_version: Literal["mbo-search/node/1"] = "mbo-search/node/1"
    key: str
    files: dict[str, FileEntry]
    seconds: float = Field(ge=0)
    reports: dict[str, _StoredReport]

    @property
    def size_bytes(self) -> int:
        """Bytes of the state, the manifest aside."""
        return sum(entry.size_bytes for entry in self.files.values())

    def with_report(self, fingerprint: str, report: BoundaryReport) -> Manifest:
        """The same manifest with one more report, or a better one."""
        return self.model_copy(update={"reports": {**self.reports, fingerprint: report}})


def describe_files(folder: Path) -> dict[str, FileEntry]:
    """Checksum the files of a state and make them durable.

    Raises:
        StoreError: If it holds anything but plain files and folders, or nothing.
        OSError: If a file cannot be read.
    """
    entries: dict[str, FileEntry] = {}
    next(folder.iterdir(), None)  # says that there is no folder, which a search in it would not
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name == MANIFEST or _is_folder(path):
            continue
        if path.is_symlink() or not path.is_file():
            raise StoreError(f"{path}: a state holds plain files only")
        fsync_file(path)
        entries[name] = FileEntry(size_bytes=path.stat().st_size, sha256=sha256_file(path))
    if not entries:
        raise StoreError(f"{folder}: a state holds at least one file")
    return entries


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest with its own checksum, atomically.

    Raises:
        ValueError: If a report holds a number that is not finite.
        OSError: If it cannot be written.
    """
    body = manifest.model_dump(mode="python")
    write_json(folder / MANIFEST, {"body": body, "sha256": _digest(body)})


def read_manifest(folder: Path, key: str) -> Manifest:
    """Read the manifest of a node.

    Raises:
        FileNotFoundError: If there is none.
        OSError: If it cannot be read.
        StoreError: If it is damaged or belongs to another node.
    """
    try:
        document = read_json(folder / MANIFEST)
        body = document["body"]
        sound = document["sha256"] == _digest(body)
        manifest = Manifest.model_validate(body)
        for report in manifest.reports.values():
            _check_plausible(report)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise StoreError(f"{folder / MANIFEST}: unreadable ({error})") from error
    if not sound or manifest.key != key:
        raise StoreError(f"{folder / MANIFEST}: {'belongs to another node' if sound else 'checksum differs'}")
    return manifest


def verify_files(folder: Path, files: Mapping[str, FileEntry], *, beside: str = MANIFEST) -> None:
    """Check that a folder holds exactly the files of a manifest, byte for byte.

    Raises:
        OSError: If a file cannot be read.
        StoreError: If a file is missing, foreign, or differs.
    """
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not _is_folder(path)} - {beside}
    if found != set(files):
        raise StoreError(f"{folder}: files {', '.join(sorted(found ^ set(files)))} are missing or foreign")
    for name, entry in files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file() or path.stat().st_size != entry.size_bytes:
            raise StoreError(f"{path}: size differs from the manifest's")
        if sha256_file(path) != entry.sha256:
            raise StoreError(f"{path}: checksum differs from the manifest's")


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def num_evaluations(report: BoundaryReport) -> int:
    """Count the evaluations in a report, for choosing the better of two reports on one node."""
    points = report.curve
    return sum(point.loss is not None for point in points) + sum(point.metrics is not None for point in points)


def _check_plausible(report: BoundaryReport) -> None:
    """Refuse numbers that training cannot give, because a record of them could not be written.

    Raises:
        ValueError: If there is one.
    """
    counts = [report.step]
    losses: list[float | None] = [report.path_seconds]
    for point in report.curve:
        counts += [point.step, point.tokens]
        losses += [point.loss, point.grad_norm]
        for mean in point.steps:
            counts += [mean.step, mean.num_steps - 1]
            losses += [mean.grad_norm, mean.seconds]
    for metrics in (report.metrics, *(point.metrics for point in report.curve)):
        if metrics is not None:
            losses += [metrics.loss, metrics.bits_per_byte, metrics.averaged_loss, metrics.ema_loss]
            losses += [abs(score) for score in metrics.scores.values()]
            if metrics.accuracy is not None and not 0 <= metrics.accuracy <= 1:
                raise ValueError(f"{metrics.accuracy} is not an accuracy")
    is_plausible = all(0 <= count <= _MOST_COUNT for count in counts) and all(
        loss is None or 0 <= loss <= _MOST_LOSS for loss in losses
    )
    if not is_plausible:
        raise ValueError("a count or a loss is out of range")


def _digest(body: object) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, allow_nan=False).encode()).hexdigest()
