"""Where things go that a user did not name: the only place that reads the environment."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["data_cache", "default_run_folder"]


def data_cache() -> Path:
    """Folder of prepared data, shared by all studies of a user.

    `MBO_SEARCH_CACHE`, else `mbo-search` in `XDG_CACHE_HOME`, else `~/.cache/mbo-search`.
    """
    named = os.environ.get("MBO_SEARCH_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mbo-search"


def default_run_folder(study: str) -> Path:
    """Where a study's results go: `reports/NAME` in the current folder."""
    return Path("reports") / study
