"""Collection of tests: what makes it cheap."""

from __future__ import annotations

import gc
from pathlib import Path


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out modules without tests and without an example; importing them takes seconds in each process."""
    if collection_path.suffix == ".py" and not collection_path.name.startswith("test_"):
        return ">>>" not in collection_path.read_text(encoding="utf-8") or None
    return None


def pytest_collection_finish() -> None:
    """Keep the collector from visiting the objects of all imported libraries again and again."""
    gc.collect()
    gc.freeze()
