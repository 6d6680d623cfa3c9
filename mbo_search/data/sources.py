"""Resolution of the entries of `data.source` and `data.validation`: corpora, files, folders, globs, shards."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mbo_search.data.built_in.corpora import READERS, Corpus, open_corpus
from mbo_search.data.files.saved_datasets import beside_datasets
from mbo_search.data.files.split_names import split_by_names
from mbo_search.data.files.suffixes import plain_suffix, suffix_of
from mbo_search.data.files.tables import columns_in
from mbo_search.data.files.walk import folder_entries, matching_entries, shown
from mbo_search.data.metadata import MOST_NAMES, Notice, NoticeKind, PassedOver, PassReason, Split
from mbo_search.data.progress import PrepareReporter, counted, tell_nobody
from mbo_search.data.readers import (
    ends_as_dump,
    has_columns,
    is_other_xml,
    is_separated,
    lacks_field,
    loses_license,
    reader_digest,
    text_suffixes,
)
from mbo_search.data.tokenizing.foreign_tokenizers import FROM_META_PKL
from mbo_search.errors import DataError, Problem
from mbo_search.study.spec.sections.data import DataSpec
from mbo_search.system.files import sha256_file
from mbo_search.units import printable

SHARD_SUFFIX = ".bin"

_UNPACK = "unpack it and name the folder"
_CONVERSIONS = {
    ".json": "`jq -c '.[]' FILE.json > FILE.jsonl` makes a document a line of a list",
    ".npy": "np.load(FILE).astype(np.uint16).tofile('NAME.bin') makes a shard of tokens",
    ".pdf": "save it as text",
    ".docx": "save it as text",
    ".epub": "save it as text",
    ".xml": "save its text as .txt or .jsonl",
    ".zip": _UNPACK,
    ".tar": _UNPACK,
    ".tgz": _UNPACK,
    ".7z": _UNPACK,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Files of one entry of a study's list of sources that belong to one split.

    Attributes:
        name: Name of the corpus, or the last part of the path or glob.
        role: `train`: split by document hash; `validation`, `test`: the separate text of that split.
        files: The files, sorted; those of a corpus for a corpus.
        digest: SHA-256 over the names and contents of the files.
        corpus: The corpus; None for the user's own files.
        passed_over: Files that were found but are not read.
        notices: What a reader of the study may not expect.
        weight: The part of the training tokens that it gets, in any unit; None: what it has.
        given_name: What the study calls it; None: the study does not tell its sources apart.
    """

    name: str
    role: Split
    files: tuple[Path, ...]
    digest: str
    corpus: Corpus | None = None
    passed_over: tuple[PassedOver, ...] = ()
    notices: tuple[Notice, ...] = ()
    weight: float | None = None
    given_name: str | None = None

    @property
    def is_shards(self) -> bool:
        """Return whether the files hold tokens instead of text."""
        return self.corpus is None and self.files[0].suffix.lower() == SHARD_SUFFIX


@dataclass(slots=True)
class _Entry:
    """What an entry of a list was found to be, before files that are read already are taken out."""

    name: str
    base: Path
    files: dict[Split, tuple[Path, ...]]
    passed: dict[PassReason, list[Path]]
    notices: tuple[Notice, ...] = ()
    corpus: Corpus | None = None
    weight: float | None = None
    given_name: str | None = None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Columns that a study reads: that of its text, or those of its task or with its scores, which need files with
    columns; the section that names these is empty where there are none."""

    columns: tuple[str, ...]
    named_by: str

    def is_lacking(self, file: Path) -> bool:
        has_none = self.named_by and file.suffix.lower() != SHARD_SUFFIX and not has_columns(file)
        return bool(has_none) or lacks_field(file, self.columns)


def _wanted(spec: DataSpec) -> _Wanted:
    return _Wanted(spec.columns, "data.task" if spec.task is not None else "data.scores" if spec.scores else "")


def resolve_sources(
    spec: DataSpec, tell: PrepareReporter = tell_nobody, sha256: Callable[[Path], str] = sha256_file
) -> tuple[Source, ...]:
    """Find everything that a study reads, and digest it.

    A bare name of a built-in corpus always means the corpus (a folder of that name is `./docs`). A folder is
    searched for text files or for shards, at any depth and through links; hidden files are passed over. Where the
    files of a folder or glob are named by splits, each goes to its split. A file is read once, however many
    entries match it, and never for training if it is a validation or test file.

    Args:
        spec: The study's data section.
        tell: Told how far the work has come.
        sha256: Digests a file.

    Raises:
        DataError: With every entry that cannot be read.
    """
    problems: list[Problem] = []
    unscored = _wanted(spec.model_copy(update={"scores": None}))
    held_out = _find_all(spec.validation or (), "data.validation", unscored, problems)
    found = _find_all(spec.source, "data.source", _wanted(spec), problems)
    if problems:
        raise DataError(problems)
    names = spec.source_names or (None,) * len(spec.source)
    for source, given_name, (_, entry) in zip(spec.source, names, found, strict=True):
        entry.weight = (spec.weights or {}).get(source)
        entry.given_name = given_name
    for _, entry in held_out:
        entry.files = {"validation": tuple(file for files in entry.files.values() for file in files)}
    sources = _without_repeats([*held_out, *found], has_validation=bool(spec.validation), problems=problems)
    problems.extend([*_clashes(sources, spec), *_badly_weighted(sources, spec), *_badly_named(sources, spec)])
    if problems:
        raise DataError(problems)
    return tuple(_with_digest(source, sha256) for source in counted(sources, "digest", len(sources), tell))


def _find_all(
    entries: Sequence[str], list_key: str, wanted: _Wanted, problems: list[Problem]
) -> list[tuple[Problem, _Entry]]:
    """Find the entries of a list, each with the problem that it is if nothing of it is left to be read."""
    found: list[tuple[Problem, _Entry]] = []
    for number, entry in enumerate(entries):
        key = f"{list_key}.{number}"
        try:
            unread = Problem(key=key, value=shown(entry), rule="holds only files that other entries name already")
            found.append((unread, _find(entry, wanted)))
        except DataError as error:
            problems.extend(replace(problem, key=key) for problem in error.problems)
    return found


def _without_repeats(
    found: Sequence[tuple[Problem, _Entry]], *, has_validation: bool, problems: list[Problem]
) -> list[Source]:
    """Take each file once: validation and test text first, so that none of it is trained on; then in order."""
    seen: set[Path] = set()
    kept: dict[tuple[int, Split], tuple[Path, ...]] = {}
    for split in ("validation", "test", "train"):
        for number, (unread, entry) in enumerate(found):
            files = entry.files.get(split, ())
            if split == "validation" and has_validation and unread.key.startswith("data.source"):
                entry.passed["other_split"].extend(files)
                seen.update(file.resolve() for file in files)
                continue
            fresh = files if entry.corpus is not None else _unseen(files, seen)
            entry.passed["named_elsewhere"].extend(file for file in files if file not in set(fresh))
            if fresh:
                kept[number, split] = fresh
    sources = [source for number, (_, entry) in enumerate(found) for source in _sources_of(number, entry, kept)]
    has_training = any(source.role == "train" for source in sources)
    for number, (unread, _) in enumerate(found):
        is_left = any(place == number for place, _ in kept)
        if not is_left or (not has_training and unread.key.startswith("data.source")):
            problems.append(unread)
    return sorted(sources, key=lambda source: source.role != "train")


def _sources_of(number: int, entry: _Entry, kept: Mapping[tuple[int, Split], tuple[Path, ...]]) -> list[Source]:
    """The sources of an entry, one a split; the first tells what was passed over."""
    sources = [
        Source(
            name=entry.name,
            role=split,
            files=kept[number, split],
            digest="",
            corpus=entry.corpus,
            weight=entry.weight if split == "train" else None,
            given_name=entry.given_name if split == "train" else None,
        )
        for split in ("train", "validation", "test")
        if (number, split) in kept
    ]
    passed = tuple(
        _passed_over(reason, files, entry.base) for reason, files in sorted(entry.passed.items()) if files
    )
    return [replace(one, passed_over=passed, notices=entry.notices) for one in sources[:1]] + sources[1:]


def _passed_over(reason: PassReason, files: Sequence[Path], base: Path) -> PassedOver:
    names = sorted(shown(os.path.relpath(file, base)) for file in files)
    return PassedOver(reason=reason, num_files=len(names), names=tuple(names[:MOST_NAMES]))


def _unseen(files: Sequence[Path], seen: set[Path]) -> tuple[Path, ...]:
    fresh: list[Path] = []
    for file in files:
        if file.resolve() not in seen:
            seen.add(file.resolve())
            fresh.append(file)
    return tuple(fresh)


def _find(entry: str, wanted: _Wanted) -> _Entry:
    if not entry:
        raise _problem('""', "names nothing", "the current folder is .")
    corpus = open_corpus(entry)
    if corpus is not None:
        is_shadowed = Path(entry).exists()
        notices = (Notice(kind="shadowed_corpus", subject=entry),) if is_shadowed else ()
        return _Entry(corpus.name, Path(), {"train": corpus.files}, defaultdict(list), notices, corpus)
    try:
        path = Path(entry).expanduser()
        name = shown(path.resolve().name if path.exists() else path.name)
        return _found_files(name, path, entry, wanted)
    except (OSError, RuntimeError) as error:
        # RuntimeError: `~name` of a user who does not exist.
        raise _problem(entry, f"cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error)


def _found_files(name: str, path: Path, entry: str, wanted: _Wanted) -> _Entry:
    if path.is_dir():
        return _readable(name, path, folder_entries(path), entry, wanted)
    if path.exists():
        return _single_file(name, path, entry, wanted)
    if any(character in entry for character in "*?["):
        try:
            matches = matching_entries(path)
        except (OSError, ValueError) as error:
            raise _problem(entry, f"is not a valid glob: {_reason(error)}") from error
        base = next(parent for parent in path.parents if parent.exists())
        return _readable(name, base, matches, entry, wanted)
    raise _problem(entry, "does not exist", _nearest(entry, path))


def _single_file(name: str, path: Path, entry: str, wanted: _Wanted) -> _Entry:
    if not path.is_file():
        raise _problem(entry, "is neither a file nor a folder")
    if suffix_of(path) not in (*text_suffixes(), SHARD_SUFFIX):
        raise _problem(entry, "has a suffix that is not read", _how_to_convert(path))
    if is_other_xml(path):
        raise _problem(entry, "is XML, but no dump of a MediaWiki", _how_to_convert(path))
    if wanted.named_by and suffix_of(path) != SHARD_SUFFIX and not has_columns(path):
        hint = f"files with columns are {_with_columns()}"
        raise _problem(entry, f"has no columns, which {wanted.named_by} names", hint)
    return _Entry(name, path.parent, {"train": (path,)}, defaultdict(list))


def _readable(name: str, base: Path, entries: tuple[list[Path], list[Path]], entry: str, wanted: _Wanted) -> _Entry:
    """Sort the files of a folder or glob: what is read and for which split, and what is passed over and why."""
    found, hidden = entries
    passed: dict[PassReason, list[Path]] = defaultdict(list)
    passed["hidden"] = hidden
    read = (*text_suffixes(), SHARD_SUFFIX)
    files: list[Path] = []
    shards = {path for path in found if path.suffix.lower() == SHARD_SUFFIX}
    computed = beside_datasets(found)
    for path in sorted(found, key=lambda path: path.as_posix()):
        if path.suffix == ".json" and path.with_suffix(SHARD_SUFFIX) in shards:
            continue  # the width of a shard, read with it
        if not path.is_file():
            passed["not_a_file"].append(path)
        elif suffix_of(path) not in read or is_other_xml(path):
            passed["suffix"].append(path)
        elif path in computed:
            passed["beside_dataset"].append(path)
        elif wanted.is_lacking(path):
            passed["no_field"].append(path)
        else:
            files.append(path)
    if not files:
        hint = _other_columns(passed["no_field"], wanted) or f"read are {_suffixes()}"
        raise _problem(entry, f"holds no file that can be read{_told(passed, base)}", hint)
    splits = split_by_names(files, base)
    passed["beside_splits"].extend(splits.beside)
    notices = (Notice(kind="splits_by_name", subject=name),) if splits.are_named else ()
    return _Entry(name, base, dict(splits.files), passed, notices)


def _told(passed: Mapping[PassReason, Sequence[Path]], base: Path) -> str:
    """Name the first files that were found but cannot be read."""
    names = [shown(os.path.relpath(path, base)) for paths in passed.values() for path in paths]
    return f" ({len(names)} found: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''})" if names else ""


def _other_columns(lacking: Sequence[Path], wanted: _Wanted) -> str:
    """Say which columns the first table has instead of those that are wanted."""
    table = next((file for file in lacking if is_separated(file)), None)
    if table is None:
        return f"files with columns are {_with_columns()}" if wanted.named_by else ""
    names = ", ".join(printable(name) for name in columns_in(table, wanted.columns)[:20])
    return f"read is {', '.join(wanted.columns)}; {shown(table.name)} has the columns {names}"


def _clashes(sources: Sequence[Source], spec: DataSpec) -> list[Problem]:
    """Refuse text mixed with shards, and settings that shards do not have."""
    shards = [file for source in sources for file in _own_files(source) if file.suffix.lower() == SHARD_SUFFIX]
    if not shards:
        return []
    problems: list[Problem] = []
    text = next(
        (source.name for source in sources if source.corpus is not None),
        next((shown(file) for s in sources for file in _own_files(s) if file.suffix.lower() != SHARD_SUFFIX), None),
    )
    if text is not None:
        rule = f"is text, but {shown(shards[0])} holds tokens; a study reads one or the other"
        hint = "name the token files alone, such as FOLDER/*.bin, or the text alone, such as FOLDER/*.txt"
        problems.append(Problem(key="data.source", value=text, rule=rule, hint=hint))
    meta = next((file.with_name("meta.pkl") for file in shards if file.with_name("meta.pkl").is_file()), None)
    if meta is not None and spec.tokenizer.kind != "file":
        rule = f"is not the tokenizer of tokens beside {shown(meta)}"
        hint = f"{FROM_META_PKL}, for {{kind: file, path: FOLDER}}"
        problems.append(Problem(key="data.tokenizer.kind", value=spec.tokenizer.kind, rule=rule, hint=hint))
    elif spec.tokenizer.kind == "bpe":
        rule = "cannot be trained on token shards"
        hint = "give the tokenizer that made them: {kind: file, path: FOLDER}, or {kind: bytes}"
        problems.append(Problem(key="data.tokenizer.kind", value="bpe", rule=rule, hint=hint))
    if spec.task is not None:
        hint = "give the rows as .jsonl, .csv or .parquet"
        problems.append(Problem(key="data.task", rule="needs rows with columns, not token shards", hint=hint))
    if spec.dedup == "near":
        hint = "use exact or none"
        problems.append(Problem(key="data.dedup", value="near", rule="needs text, not token shards", hint=hint))
    return problems


def _badly_weighted(sources: Sequence[Source], spec: DataSpec) -> Iterator[Problem]:
    """Refuse weights that name something else than the sources, or of what has none."""
    if spec.weights is None:
        return
    if spec.task is not None or any(source.is_shards for source in sources):
        kind = "examples of a task" if spec.task is not None else "token shards"
        hint = "leave data.weights out, and repeat what should weigh more in files of your own"
        yield Problem(key="data.weights", rule=f"needs running text, not {kind}", hint=hint)
    for name in spec.weights:
        if name not in spec.source:
            hint = f"entries of data.source: {', '.join(map(shown, spec.source))}"
            yield Problem(key="data.weights", value=shown(name), rule="is no entry of data.source", hint=hint)
    missing = [shown(name) for name in spec.source if name not in spec.weights]
    if missing:
        rule = f"must name every entry of data.source; missing: {', '.join(missing)}"
        yield Problem(key="data.weights", rule=rule, hint="weights are parts in any unit, such as 3 and 1")


def _badly_named(sources: Sequence[Source], spec: DataSpec) -> Iterator[Problem]:
    """Refuse names of sources whose text nobody can tell apart, and scores of what has no columns."""
    if not any(source.is_shards for source in sources):
        return
    if spec.source_names is not None:
        hint = "give running text, or leave the names and mixtures out"
        yield Problem(key="data.source_names", rule="needs running text, not token shards", hint=hint)
    if spec.scores is not None:
        hint = "give the text as .jsonl, .csv or .parquet"
        yield Problem(key="data.scores", rule="needs files with columns, not token shards", hint=hint)


def _own_files(source: Source) -> tuple[Path, ...]:
    return () if source.corpus is not None else source.files


def _with_digest(source: Source, sha256: Callable[[Path], str]) -> Source:
    """Add the digest, and the notice of licences left out, by which such text has another key than before."""
    try:
        if source.corpus is not None:
            return replace(source, digest=source.corpus.digest())
        told = tuple(Notice(kind=kind, subject=source.name) for kind in _left_out(source.files))
        return replace(source, digest=_digest(source.files, sha256), notices=(*source.notices, *told))
    except OSError as error:
        raise _problem(str(error.filename), f"cannot be read: {error.strerror}") from error


def _left_out(files: Sequence[Path]) -> Iterator[NoticeKind]:
    """What readers leave out of files that a person may have expected."""
    if any(loses_license(file) for file in files):
        yield "without_license"
    if any(ends_as_dump(file) for file in files):
        yield "only_articles"


def _digest(files: Sequence[Path], sha256: Callable[[Path], str]) -> str:
    """Digest of names, contents and foreign readers, without the folders above, so that data may be moved."""
    total = hashlib.sha256()
    for file in files:
        total.update(os.fsencode(file.name) + f"\0{sha256(file)}\0{reader_digest(suffix_of(file))}".encode())
        if file.suffix.lower() == SHARD_SUFFIX and file.with_suffix(".json").is_file():
            total.update(sha256_file(file.with_suffix(".json")).encode())
    return total.hexdigest()


def _nearest(entry: str, path: Path) -> str:
    parent = path.parent
    siblings = [str(sibling) for sibling in parent.iterdir()] if parent.is_dir() else []
    near = difflib.get_close_matches(entry, [*READERS, *siblings], n=1)
    corpora = f"built-in corpora: {', '.join(sorted(READERS))}, qa:<language>"
    return f"did you mean {shown(near[0])}? {corpora}" if near else corpora


def _how_to_convert(path: Path) -> str:
    way = _CONVERSIONS.get(path.suffix.lower(), "")
    return f"{way}; read are {_suffixes()}" if way else f"read are {_suffixes()}"


def _suffixes() -> str:
    return f"{', '.join((*_plain_suffixes(), SHARD_SUFFIX))}; also .gz, .bz2, .xz, .zst behind those of text"


def _plain_suffixes() -> Iterator[str]:
    """The endings of text, each once, without those of compression."""
    yield from dict.fromkeys(plain_suffix(Path(f"x{suffix}")) for suffix in text_suffixes())


def _with_columns() -> str:
    return ", ".join(suffix for suffix in _plain_suffixes() if has_columns(Path(f"x{suffix}")))


def _problem(entry: str, rule: str, hint: str = "") -> DataError:
    return DataError([Problem(key="data.source", value=shown(entry), rule=rule, hint=hint)])
