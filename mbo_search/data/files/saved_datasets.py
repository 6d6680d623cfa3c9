"""Folders that `save_to_disk` of the library `datasets` wrote: which of their .arrow files are the data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mbo_search.data.files.decoding import file_problem
from mbo_search.data.files.walk import shown

_STATE = "state.json"
_DESCRIPTIONS = frozenset({_STATE, "dataset_info.json", "dataset_dict.json"})


def describes_dataset(name: str) -> bool:
    """Return whether a file describes a saved dataset beside it, so that no text is lost with it.

    >>> describes_dataset("train/state.json"), describes_dataset("train/text.json")
    (True, False)
    """
    return PurePosixPath(name).name in _DESCRIPTIONS


def beside_datasets(files: Sequence[Path]) -> set[Path]:
    """Find the .arrow files that lie in a saved dataset but are not its data: what the library computed and kept.

    Raises:
        DataError: If a part of a dataset is missing whose description is among the files.
    """
    tables = [file for file in files if file.suffix.lower() == ".arrow"]
    found = set(files)
    beside: set[Path] = set()
    for folder in dict.fromkeys(file.parent for file in tables):
        names = _data_files(folder / _STATE)
        if names is None:
            continue
        missing = [name for name in names if not (folder / name).is_file()]
        if missing and folder / _STATE in found:
            rule = f"names {len(missing)} of {len(names)} data files that are not there: {shown(missing[0])}"
            raise file_problem(shown(folder / _STATE), rule, "copy the whole folder")
        beside.update(file for file in tables if file.parent == folder and file.name not in names)
    return beside


def _data_files(state: Path) -> list[str] | None:
    """Names of the data files of a dataset; None where no dataset says any."""
    try:
        listed = json.loads(state.read_text(encoding="utf-8"))["_data_files"]
        return [str(one["filename"]) for one in listed] or None
    except (OSError, ValueError, KeyError, TypeError):
        return None
