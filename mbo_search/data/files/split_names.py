"""Files named by splits, as data sets are published: `train-00000-of-00002.parquet`, `val.bin`, `test/a.jsonl`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mbo_search.data.files.suffixes import plain_suffix, suffix_of
from mbo_search.data.metadata import SPLITS, Split

_WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
_STEM = re.compile(rf"(?:.*[-_.])?({'|'.join(_WORDS)})(?:[-_.]?\d+(?:[-_.]of[-_.]\d+)?)?(?:[-_.][0-9a-f]{{16,}})?")
# Pages and programs are not named by splits: `test_parser.py` and `train.py` lie side by side in a program.
_NO_SPLIT = frozenset({".py", ".md", ".html", ".htm"})


@dataclass(frozen=True, slots=True)
class NamedSplits:
    """The files of a folder by the splits that their names give.

    Attributes:
        files: Files of each split.
        beside: Pages and programs beside them, which are no text of a split, such as a README.
        are_named: Whether names decided; otherwise every file is training text.
    """

    files: dict[Split, tuple[Path, ...]]
    beside: tuple[Path, ...] = field(default=())
    are_named: bool = False


def split_by_names(files: Sequence[Path], base: Path) -> NamedSplits:
    """Sort files by the splits in their names, if some are named as training text and some as another split.

    >>> found = split_by_names([Path("README.md"), Path("test-0.jsonl"), Path("train-0.jsonl")], Path())
    >>> found.files["train"], found.files["test"], found.beside
    ((PosixPath('train-0.jsonl'),), (PosixPath('test-0.jsonl'),), (PosixPath('README.md'),))
    """
    named = {file: split_of(file.relative_to(base)) for file in files}
    splits = {split for split in named.values() if split is not None}
    if "train" not in splits or len(splits) == 1:
        return NamedSplits({"train": tuple(files)})
    beside = tuple(file for file in files if named[file] is None and plain_suffix(file) in _NO_SPLIT)
    text = [file for file in files if file not in set(beside)]
    return NamedSplits(
        {split: tuple(file for file in text if (named[file] or "train") == split) for split in SPLITS},
        beside=beside,
        are_named=True,
    )


def split_of(path: Path) -> Split | None:
    """The split that a file's name, or else that of a folder above it, gives.

    >>> [split_of(Path(name)) for name in ("fineweb_val_000000.bin", "test/data.jsonl", "contest.txt", "test.py")]
    ['validation', 'test', None, None]
    """
    if plain_suffix(path) in _NO_SPLIT:
        return None
    found = _STEM.fullmatch(path.name.lower().removesuffix(suffix_of(path)))
    if found is not None:
        return _WORDS[found[1]]
    folders = [_WORDS[part.lower()] for part in path.parts[:-1] if part.lower() in _WORDS]
    return folders[-1] if folders else None
