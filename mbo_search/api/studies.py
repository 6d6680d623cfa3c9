"""Studies: read from files, and planned before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mbo_search.study.examples import example_path
from mbo_search.study.files import study_file
from mbo_search.study.study import Study
from mbo_search.system.cache import user_cache


def load_study(path: Path | str, overrides: Sequence[str] = ()) -> Study:
    """Read a study file.

    >>> import mbo_search as mbo
    >>> study = mbo.load_study("quickstart", overrides=["search.trials=8"])
    >>> study.search.trials
    8

    Args:
        path: The file (YAML), or the name of a study that is shipped with the package, such as `quickstart`.
            Relative paths in a file are taken from its folder.
        overrides: Settings to replace, each as `key.path=value`. Relative paths start in the
            current folder.

    Returns:
        The checked study.

    Raises:
        StudyError: With every problem of the file, each with its line and column.
    """
    return study_file.load_study(study_path(path), overrides)


def study_path(path: Path | str) -> Path:
    """The file that a path or the name of a shipped study stands for."""
    if Path(path).exists() or Path(path).suffix or len(Path(path).parts) != 1:
        return Path(path)
    return example_path(str(path))


def data_cache() -> Path:
    """Folder of prepared data, shared by all studies of a user."""
    return user_cache()


def default_run_folder(study: str) -> Path:
    """Where a study's results go: `reports/NAME` in the current folder."""
    return Path("reports") / study
