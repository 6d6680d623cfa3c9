"""Resolution of the entries of `data.source` and `data.validation`: corpora, files, folders, globs, shards."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mbo_search.data.corpora import READERS, Corpus, open_corpus
from mbo_search.data.readers import reader_digest, text_suffixes
from mbo_search.errors import DataError, Problem
from mbo_search.study.spec.study import DataSpec
from mbo_search.system.files import sha256_file

SHARD_SUFFIX = ".bin"

Role = Literal["train", "validation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One entry of a study's list of sources, found on disk.

    Attributes:
        name: Name of the corpus, or the last part of the path or glob.
        role: `train`: split by document hash; `validation`: the separate validation text.
        files: The files, sorted; those of a corpus for a corpus.
        digest: SHA-256 over the names and contents of the files.
        corpus: The corpus; None for the user's own files.
    """

    name: str
    role: Role
    files: tuple[Path, ...]
    digest: str
    corpus: Corpus | None = None

    @property
    def is_shards(self) -> bool:
        """Return whether the files hold tokens instead of text."""
        return self.corpus is None and self.files[0].suffix.lower() == SHARD_SUFFIX


def resolve_sources(spec: DataSpec) -> tuple[Source, ...]:
    """Find everything that a study reads, and digest it.

    A bare name of a built-in corpus always means the corpus (a folder of that name is `./docs`). A folder is
    searched for text files, and for shards only if it holds no text; hidden files are skipped and links to folders
    are not followed. A file is read once, however many entries match it, and never for training if it is a
    validation file.

    Raises:
        DataError: With every entry that cannot be read.
    """
    problems: list[Problem] = []
    validation = _resolve(spec.validation or (), "validation", frozenset(), problems)
    taken = frozenset(file.resolve() for source in validation for file in source.files)
    train = _resolve(spec.source, "train", taken, problems)
    if not problems:
        problems.extend(_clashes([*train, *validation], spec))
    if problems:
        raise DataError(problems)
    return tuple(_with_digest(source) for source in (*train, *validation))


def _resolve(entries: Sequence[str], role: Role, taken: frozenset[Path], problems: list[Problem]) -> list[Source]:
    sources: list[Source] = []
    seen = set(taken)
    for number, entry in enumerate(entries):
        key = f"data.{'source' if role == 'train' else 'validation'}.{number}"
        try:
            source = _find(entry, role)
        except DataError as error:
            problems.extend(replace(problem, key=key) for problem in error.problems)
            continue
        if source.corpus is None:
            source = replace(source, files=_unseen(source.files, seen))
        if source.files:
            sources.append(source)
        else:
            problems.append(Problem(key=key, value=entry, rule="holds only files that other entries name already"))
    return sources


def _unseen(files: Sequence[Path], seen: set[Path]) -> tuple[Path, ...]:
    fresh: list[Path] = []
    for file in files:
        if file.resolve() not in seen:
            seen.add(file.resolve())
            fresh.append(file)
    return tuple(fresh)


def _find(entry: str, role: Role) -> Source:
    if not entry:
        raise _problem('""', "names nothing", "the current folder is .")
    corpus = open_corpus(entry)
    if corpus is not None:
        return Source(name=corpus.name, role=role, files=corpus.files, digest="", corpus=corpus)
    try:
        path = Path(entry).expanduser()
        name = path.resolve().name if path.exists() else path.name
        return Source(name=name, role=role, files=_found_files(path, entry), digest="")
    except (OSError, RuntimeError) as error:
        # RuntimeError: `~name` of a user who does not exist.
        raise _problem(entry, f"cannot be read: {error}") from error


def _found_files(path: Path, entry: str) -> tuple[Path, ...]:
    if path.is_dir():
        return _folder_files(path, entry)
    if path.exists():
        return _single_file(path, entry)
    if any(character in entry for character in "*?["):
        return _glob_files(path, entry)
    raise _problem(entry, "does not exist", _nearest(entry, path))


def _single_file(path: Path, entry: str) -> tuple[Path, ...]:
    if not path.is_file():
        raise _problem(entry, "is neither a file nor a folder")
    if path.suffix.lower() not in (*text_suffixes(), SHARD_SUFFIX):
        raise _problem(entry, "has a suffix that is not read", f"read are {_suffixes()}")
    return (path,)


def _folder_files(path: Path, entry: str) -> tuple[Path, ...]:
    found: list[Path] = []
    for folder, folders, names in os.walk(path, followlinks=False, onerror=_raise_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found.extend(Path(folder, name) for name in names if not name.startswith("."))
    return _readable(found, entry)


def _raise_unreadable(error: OSError) -> None:
    raise _problem(str(error.filename), f"cannot be read: {error.strerror}")


def _glob_files(path: Path, entry: str) -> tuple[Path, ...]:
    # Existing folders are not part of the pattern, even where their names hold its characters.
    base = next(parent for parent in path.parents if parent.exists())
    try:
        matches = base.glob(str(path.relative_to(base)))
        found = [match for match in matches if not _is_hidden(match.relative_to(base))]
    except (OSError, ValueError) as error:
        raise _problem(entry, f"is not a valid glob: {error}") from error
    return _readable(found, entry)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _readable(found: Sequence[Path], entry: str) -> tuple[Path, ...]:
    """Text files among those found, or shards if there are no text files."""
    files = sorted((path for path in found if path.is_file()), key=lambda path: path.as_posix())
    read = text_suffixes()
    texts = tuple(path for path in files if path.suffix.lower() in read)
    shards = tuple(path for path in files if path.suffix.lower() == SHARD_SUFFIX)
    if not texts and not shards:
        raise _problem(entry, "holds no file that can be read", f"read are {_suffixes()}")
    return texts or shards


def _clashes(sources: Sequence[Source], spec: DataSpec) -> list[Problem]:
    """Refuse text mixed with shards, and settings that shards do not have."""
    shards = [source for source in sources if source.is_shards]
    if not shards:
        return []
    problems: list[Problem] = []
    mixed = next(
        (s for s in sources if not s.is_shards or {f.suffix.lower() for f in s.files} != {SHARD_SUFFIX}), None
    )
    if mixed is not None:
        rule = f"is text, but {shards[0].name} holds tokens; a study reads one or the other"
        problems.append(Problem(key="data.source", value=mixed.name, rule=rule))
    if spec.tokenizer.kind == "bpe":
        rule = "cannot be trained on token shards"
        hint = "give the tokenizer that made them: {kind: file, path: FOLDER}, or {kind: bytes}"
        problems.append(Problem(key="data.tokenizer.kind", value="bpe", rule=rule, hint=hint))
    if spec.dedup == "near":
        hint = "use exact or none"
        problems.append(Problem(key="data.dedup", value="near", rule="needs text, not token shards", hint=hint))
    return problems


def _with_digest(source: Source) -> Source:
    try:
        return replace(source, digest=source.corpus.digest() if source.corpus else _digest(source.files))
    except OSError as error:
        raise _problem(str(error.filename), f"cannot be read: {error.strerror}") from error


def _digest(files: Sequence[Path]) -> str:
    """Digest of names, contents and foreign readers, without the folders above, so that data may be moved."""
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.name}\0{sha256_file(file)}\0{reader_digest(file.suffix)}".encode())
        if file.suffix.lower() == SHARD_SUFFIX and file.with_suffix(".json").is_file():
            total.update(sha256_file(file.with_suffix(".json")).encode())
    return total.hexdigest()


def _nearest(entry: str, path: Path) -> str:
    parent = path.parent
    siblings = [str(sibling) for sibling in parent.iterdir()] if parent.is_dir() else []
    near = difflib.get_close_matches(entry, [*READERS, *siblings], n=1)
    corpora = f"built-in corpora: {', '.join(sorted(READERS))}, qa:<language>"
    return f"did you mean {near[0]}? {corpora}" if near else corpora


def _suffixes() -> str:
    return ", ".join((*text_suffixes(), SHARD_SUFFIX))


def _problem(entry: str, rule: str, hint: str = "") -> DataError:
    return DataError([Problem(key="data.source", value=entry, rule=rule, hint=hint)])
