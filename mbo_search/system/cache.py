"""The cache folder of a machine: prepared data, and on workers of a cluster local copies of nodes."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """The user's cache folder.

    `MBO_SEARCH_CACHE`, else `mbo-search` in `XDG_CACHE_HOME`, else `~/.cache/mbo-search`.
    """
    named = os.environ.get("MBO_SEARCH_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mbo-search"
