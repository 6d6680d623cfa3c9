"""The interface of every stage store, wherever it keeps its nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mbo_search.trial.reports import BoundaryReport, Node


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNode:
    """A node as found: the state, and what was measured there.

    Attributes:
        node: The state.
        report: The report; its curve runs from the first token on.
    """

    node: Node
    report: BoundaryReport


class NodeStore(Protocol):
    """A content-addressed store of training states: a folder, or a remote store with a local copy.

    One test suite holds for all of them. The folder of a node that was loaded or committed stays readable until
    `release`, whatever others remove.
    """

    def has(self, key: str) -> bool:
        """Return whether a node with a report on these windows exists; only `load` checks that it is sound.

        Raises:
            StoreError: If the key is malformed.
        """
        ...

    def report(self, key: str) -> BoundaryReport | None:
        """Return what the training of a node gave and cost; None if it is missing. Its files are not checked.

        Raises:
            StoreError: If the key is malformed.
        """
        ...

    def load(self, key: str) -> StoredNode:
        """Check a node against its checksums and lease it.

        Raises:
            StoreError: If the node is missing, unreadable or damaged; a damaged one is dropped.
        """
        ...

    def commit(self, key: str, state_dir: Path, report: BoundaryReport) -> Node:
        """Take over a state durably, and lease it.

        Raises:
            StoreError: If it cannot be kept; the state stays where it is.
        """
        ...

    def release(self) -> None:
        """End all leases."""
        ...

    def protect(self, keys: Iterable[str]) -> None:
        """Keep exactly these nodes from being collected by this object."""
        ...

    def expect(self, uses: Mapping[str, float]) -> None:
        """Set how often nodes are likely to be used again; the others are expected to be used once."""
        ...

    def collect(self) -> int:
        """Remove the nodes that are worth least until the store fits its limit."""
        ...

    def size_bytes(self) -> int:
        """Bytes of all states."""
        ...
