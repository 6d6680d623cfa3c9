"""From a study's data section to token files on disk: once, then from the cache.

The cache is a folder with one folder of prepared data for each combination of settings, source contents and library
versions. A folder appears under its name only when it is complete, so processes that prepare the same data at the
same time do the work twice and harm nothing. Damaged folders are built again.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import platform
import secrets
import shutil
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydantic
import tokenizers

from mbo_search.data.batches import TokenArray
from mbo_search.data.corpus_text import SplitText, read_splits
from mbo_search.data.metadata import (
    SPLITS,
    DataMetadata,
    FileMetadata,
    OwnedRun,
    Split,
    SplitMetadata,
    WrittenSplits,
    data_fingerprint,
)
from mbo_search.data.mixing.document_scores import write_scores
from mbo_search.data.mixing.owners import named_runs
from mbo_search.data.progress import PrepareReporter, counted, tell_nobody
from mbo_search.data.shards import write_shard_splits
from mbo_search.data.sources import Source, resolve_sources
from mbo_search.data.stored.known_digests import KnownDigests
from mbo_search.data.stored.weighing import weigh
from mbo_search.data.tasks.chats import ChatTemplate, chat_template
from mbo_search.data.tasks.example_files import open_ends, write_examples
from mbo_search.data.tasks.example_splits import read_examples
from mbo_search.data.token_files import (
    TextEncoder,
    WrittenDocuments,
    asked_file,
    document_ends,
    document_texts,
    open_asked,
    open_tokens,
    token_file,
    token_width,
    tokenizable_texts,
    write_documents,
)
from mbo_search.data.tokenizer import (
    Tokenizer,
    load_tokenizer,
    save_byte_tokenizer,
    save_tokenizer_file,
    tokenizer_files,
    train_bpe_tokenizer,
)
from mbo_search.data.tokenizing.fit import check_covered, check_known, sample_step
from mbo_search.data.workers.pool import open_workers
from mbo_search.errors import DataError, Problem
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec
from mbo_search.system.files import fsync_file, fsync_folder, read_json, sha256_file, write_json

METADATA = "card.json"
"""Name of the metadata file in a folder of prepared data."""

_TOKENIZER = "tokenizer"
_BUILDING = ".building-"
_DIGESTS = ".digests"
_ABANDONED_SECONDS = 24 * 3600
_DEFAULT_VOCAB_SIZE = 1024
# Raised whenever the same settings and sources would give other tokens or another card than before.
_PREPARE_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedData:
    """Token files, tokenizer and metadata in one folder.

    Attributes:
        folder: The folder; nothing in it ever changes.
        metadata: What it holds.
    """

    folder: Path
    metadata: DataMetadata

    @property
    def tokenizer_folder(self) -> Path:
        """Folder of the tokenizer; `AutoTokenizer.from_pretrained` reads it as well."""
        return self.folder / _TOKENIZER

    def tokens(self, split: Split) -> TokenArray:
        """Token ids of a split, memory-mapped read-only, shape [num_tokens]."""
        return open_tokens(self.folder / token_file(split), self.metadata.dtype)

    @property
    def is_task(self) -> bool:
        """Whether the documents are examples of a task, of which only a part is asked."""
        return asked_file("train") in self.metadata.files

    def asked(self, split: Split) -> npt.NDArray[np.uint8]:
        """Which tokens of a split of a task are asked, memory-mapped read-only, 0 or 1, shape [num_tokens]."""
        return open_asked(self.folder / asked_file(split))

    def ends(self, split: Split) -> npt.NDArray[np.int64]:
        """Ends of the documents or examples of a split: the positions after their last tokens, ascending."""
        if self.is_task:
            return open_ends(self.folder, split)
        return document_ends(self.tokens(split), self.metadata.eos_id)

    def split_sha256(self, split: Split) -> str:
        """Digest of the tokens of a split, and of what is asked in them."""
        return self.metadata.splits[split].digest

    def tokenizer(self) -> Tokenizer:
        """Load the tokenizer."""
        return load_tokenizer(self.tokenizer_folder)


def prepare(spec: DataSpec, cache: Path, progress: PrepareReporter = tell_nobody) -> PreparedData:
    """Prepare the data of a study, or find it in the cache.

    Text lies in scratch files in the cache while it is prepared, up to about twice its size in all; in memory are
    some megabytes of it at a time, and a few numbers for each document.

    Args:
        spec: The study's data section.
        cache: Folder of prepared data.
        progress: Told how far the work has come.

    Raises:
        DataError: With everything that is wrong with the sources or the tokenizer.
    """
    known = KnownDigests(cache / _DIGESTS)
    sources = resolve_sources(spec, progress, known.sha256)
    target = cache / _cache_key(spec, sources)
    found = _load_undamaged(target, known.sha256)
    if found is not None:
        return found
    try:
        return _prepare_anew(spec, sources, target, progress)
    except OSError as error:
        rule = f"cannot hold prepared data: {error.strerror or error}"
        hint = "make it writable, or name another folder in the variable MBO_SEARCH_CACHE"
        raise DataError([Problem(key="", rule=rule, hint=hint, where=str(error.filename or cache))]) from error


def _prepare_anew(spec: DataSpec, sources: Sequence[Source], target: Path, tell: PrepareReporter) -> PreparedData:
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target.parent)
    building = target.with_name(f"{_BUILDING}{secrets.token_hex(8)}")
    building.mkdir()
    try:
        _build(spec, sources, building, tell)
        return _publish(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def load_prepared(folder: Path) -> PreparedData:
    """Open prepared data.

    Raises:
        DataError: If it is missing or damaged.
    """
    try:
        metadata = DataMetadata.model_validate(read_json(folder / METADATA), strict=False)
    except (OSError, ValueError, pydantic.ValidationError) as error:
        raise DataError([Problem(key="", rule=f"holds no prepared data: {error}", where=str(folder))]) from error
    for name, expected in metadata.files.items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != expected.size_bytes:
            rule = "is damaged: missing, or not of the size in card.json"
            raise DataError([Problem(key="", rule=rule, hint="remove the folder and run again", where=str(file))])
    return PreparedData(folder=folder, metadata=metadata)


def _load_undamaged(folder: Path, sha256: Callable[[Path], str] = sha256_file) -> PreparedData | None:
    """Prepared data whose every file has its digest; None if there is none or it is damaged."""
    if not folder.is_dir():
        return None
    try:
        prepared = load_prepared(folder)
    except DataError:
        # Damaged data is built again from its sources; nothing is lost.
        return None
    intact = all(sha256(folder / name) == file.sha256 for name, file in prepared.metadata.files.items())
    return prepared if intact else None


def _cache_key(spec: DataSpec, sources: Sequence[Source]) -> str:
    """Digest of everything that decides the tokens; where the files lie does not matter."""
    # How examples are laid out in rows decides no token.
    settings = spec.model_dump(
        mode="json",
        exclude={"source": True, "validation": True, "tokenizer": True, "task": {"packing"}, "weights": True},
    )
    tokenizer = spec.tokenizer.model_dump(mode="json", exclude={"path"})
    if spec.tokenizer.kind == "file":
        files = tokenizer_files(_given_path(spec.tokenizer))
        tokenizer["files"] = [[file.name, sha256_file(file)] for file in files]
    material = {
        "prepare": _PREPARE_VERSION,
        "settings": settings,
        "tokenizer": tokenizer,
        "sources": [_source_key(source) for source in sources],
        "versions": _versions(),
    }
    return hashlib.sha256(json.dumps(material, sort_keys=True).encode()).hexdigest()[:32]


def _source_key(source: Source) -> list[object]:
    told = (*source.passed_over, *source.notices)
    weight = [] if source.weight is None else [source.weight]
    return [source.name, source.role, source.digest, *weight, *(one.model_dump(mode="json") for one in told)]


def _versions() -> dict[str, str]:
    import datasketch  # loads scipy, which reading prepared data can do without

    return {
        "datasketch": datasketch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "tokenizers": tokenizers.__version__,
        "unicode": unicodedata.unidata_version,
    }


def _build(spec: DataSpec, sources: Sequence[Source], folder: Path, tell: PrepareReporter) -> None:
    (folder / _TOKENIZER).mkdir()
    write = _write_shards if sources[0].is_shards else _write_text if spec.task is None else _write_task
    written = write(spec, sources, folder, tell)
    tokenizer = load_tokenizer(folder / _TOKENIZER)
    width = token_width(tokenizer.vocab_size)
    files = _file_metadata(folder)
    tokenizer_sha256 = files[f"{_TOKENIZER}/tokenizer.json"].sha256
    metadata = DataMetadata(
        fingerprint=data_fingerprint(written, dtype=width, tokenizer_sha256=tokenizer_sha256),
        tokenizer_kind=spec.tokenizer.kind,
        vocab_size=tokenizer.vocab_size,
        eos_id=tokenizer.eos_id,
        dtype=width,
        splits=written.splits,
        files=files,
        sources=written.sources,
        dedup=written.dedup,
        versions=_versions(),
        labels=written.labels,
        runs=written.runs,
        scores=written.scores,
    )
    write_json(folder / METADATA, metadata.model_dump(mode="json"))


def _write_text(spec: DataSpec, sources: Sequence[Source], folder: Path, tell: PrepareReporter) -> WrittenSplits:
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=".text-") as scratch,
        read_splits(spec, sources, Path(scratch), tell) as text,
    ):
        train = (piece for document in text.splits["train"] for piece in document_texts(document))
        _save_tokenizer(spec.tokenizer, train, folder / _TOKENIZER, tell)
        written = _encode(spec.tokenizer, text, folder, tell)
        splits = {split: found.metadata for split, found in written.items()}
        weights = {number: source.weight for number, source in enumerate(sources) if source.weight is not None}
        found, order = text.sources, None
        if spec.weights is not None:
            weighted = weigh(folder, written["train"], text, weights, load_tokenizer(folder / _TOKENIZER))
            splits["train"], found, order = weighted.metadata, weighted.sources, weighted.order
        return WrittenSplits(
            splits=splits,
            sources=found,
            dedup=text.dedup,
            runs=_runs(spec, sources, text, written["train"].lengths, order),
            scores=spec.scores and write_scores(folder, spec.scores, text.splits["train"].first_parts(1), order),
        )


def _runs(
    spec: DataSpec,
    sources: Sequence[Source],
    text: SplitText,
    lengths: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64] | None,
) -> tuple[OwnedRun, ...] | None:
    """Whose the training tokens are, where the study names its sources."""
    if spec.source_names is None:
        return None
    names = [source.given_name or "" for source in sources]
    if order is None:
        return named_runs(names, text.train_owners, lengths)
    return named_runs(names, text.train_owners[order], lengths[order])


def _encode(
    spec: TokenizerSpec, text: SplitText, folder: Path, tell: PrepareReporter
) -> dict[Split, WrittenDocuments]:
    tokenizer = load_tokenizer(folder / _TOKENIZER)
    num_documents = sum(map(len, text.splits.values()))
    step = sample_step(num_documents)
    check_covered(spec, (part.text for split in SPLITS for part in text.splits[split].first_parts(step)), tokenizer)
    every = itertools.chain.from_iterable(text.splits[split] for split in SPLITS)
    documents = counted(every, "encode", num_documents, tell)
    written: dict[Split, WrittenDocuments] = {}
    with open_workers("encode", str(folder / _TOKENIZER), text.num_characters) as workers:
        encoder = TextEncoder(tokenizer, workers)
        for split in SPLITS:
            own = itertools.islice(documents, len(text.splits[split]))
            written[split] = write_documents(folder / token_file(split), own, encoder)
            check_known(spec, split, written[split].metadata)
    next(documents, None)  # the last document is done
    return written


def _write_task(spec: DataSpec, sources: Sequence[Source], folder: Path, tell: PrepareReporter) -> WrittenSplits:
    assert spec.task is not None
    with tempfile.TemporaryDirectory(dir=folder, prefix=".text-") as scratch:
        found = read_examples(spec, sources, _chat_template(spec), Path(scratch), tell)
    train = (piece for example in found.splits["train"] for piece in tokenizable_texts(example.text))
    _save_tokenizer(spec.tokenizer, train, folder / _TOKENIZER, tell)
    tokenizer = load_tokenizer(folder / _TOKENIZER)
    documents = [example for split in SPLITS for example in found.splits[split]]
    samples = (example.text for example in documents[:: sample_step(len(documents))])
    check_covered(spec.tokenizer, samples, tokenizer)
    splits: dict[Split, SplitMetadata] = {}
    for split in counted(SPLITS, "encode", len(SPLITS), tell):
        splits[split] = write_examples(folder, split, found.splits[split], tokenizer)
        check_known(spec.tokenizer, split, splits[split])
    return WrittenSplits(splits=splits, sources=found.sources, dedup=found.dedup, labels=found.labels)


def _chat_template(spec: DataSpec) -> ChatTemplate:
    return chat_template(tokenizer_files(_given_path(spec.tokenizer))[0] if spec.tokenizer.kind == "file" else None)


def _write_shards(spec: DataSpec, sources: Sequence[Source], folder: Path, tell: PrepareReporter) -> WrittenSplits:
    _save_tokenizer(spec.tokenizer, (), folder / _TOKENIZER, tell)
    written = write_shard_splits(spec, sources, load_tokenizer(folder / _TOKENIZER), folder, tell)
    for split in SPLITS:
        check_known(spec.tokenizer, split, written.splits[split])
    return written


def _save_tokenizer(spec: TokenizerSpec, texts: Iterable[str], folder: Path, tell: PrepareReporter) -> None:
    if spec.kind == "bytes":
        save_byte_tokenizer(folder)
    elif spec.kind == "bpe":
        train_bpe_tokenizer(texts, vocab_size=spec.vocab_size or _DEFAULT_VOCAB_SIZE, folder=folder, tell=tell)
    else:
        save_tokenizer_file(_given_path(spec), folder)


def _given_path(spec: TokenizerSpec) -> str:
    if spec.path is None:
        hint = "give a tokenizer.json or a folder that holds one"
        raise DataError([Problem(key="data.tokenizer.path", rule="is missing for the kind file", hint=hint)])
    return spec.path


def _file_metadata(folder: Path) -> dict[str, FileMetadata]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): FileMetadata(size_bytes=path.stat().st_size, sha256=sha256_file(path))
        for path in files
    }


def _publish(building: Path, target: Path) -> PreparedData:
    """Give a complete folder its name, unless another process was faster."""
    for file in (*building.rglob("*"), building):
        fsync_file(file)
    if target.exists() and _load_undamaged(target) is None:
        target.rename(building / "damaged")
    try:
        building.rename(target)
    except OSError:
        # Another process may have published the same data in the meantime.
        if not target.is_dir():
            raise
        return load_prepared(target)
    fsync_folder(target.parent)
    shutil.rmtree(target / "damaged", ignore_errors=True)
    return load_prepared(target)


def _remove_abandoned(cache: Path) -> None:
    """Remove what processes left that were killed long ago."""
    oldest = time.time() - _ABANDONED_SECONDS
    for folder in cache.glob(f"{_BUILDING}*"):
        if folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)
