"""Where things go that a user did not name."""

from __future__ import annotations

from pathlib import Path

from mbo_search.system.cache import user_cache


def data_cache() -> Path:
    """Folder of prepared data, shared by all studies of a user."""
    return user_cache()


def default_run_folder(study: str) -> Path:
    """Where a study's results go: `reports/NAME` in the current folder."""
    return Path("reports") / study
