"""Proves that pre-tokenized shards keep their tokens, whatever their width, and that foreign ones are refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from mbo_search.data.prepare import prepare
from mbo_search.data.shards import open_shard
from mbo_search.data.tokenizer import save_byte_tokenizer
from mbo_search.errors import DataError
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec

EOS = 256
BYTES = TokenizerSpec(kind="bytes")


def documents(rng: np.random.Generator, count: int, *, length: int = 60) -> list[list[int]]:
    return [[*rng.integers(97, 123, length).tolist(), EOS] for _ in range(count)]


def write(path: Path, docs: list[list[int]], dtype: str = "<u2") -> None:
    np.array([token for document in docs for token in document], dtype=dtype).tofile(path)


def split_documents(tokens: np.ndarray) -> list[tuple[int, ...]]:
    ends = np.flatnonzero(tokens == EOS) + 1
    return [tuple(part.tolist()) for part in np.split(tokens, ends) if len(part)]


def test_documents_are_dealt_whole_and_in_order(tmp_path, rng):
    docs = documents(rng, 400)
    write(tmp_path / "a.bin", docs[:300])
    write(tmp_path / "b.bin", docs[300:])
    prepared = prepare(DataSpec(source=(str(tmp_path / "*.bin"),), tokenizer=BYTES), tmp_path / "cache")
    splits = {split: split_documents(prepared.tokens(split)) for split in ("train", "validation", "test")}
    assert sorted(document for split in splits.values() for document in split) == sorted(map(tuple, docs))
    places = [docs.index(list(document)) for document in splits["train"]]
    assert places == sorted(places)
    assert [len(splits[split]) for split in splits] == [360, 20, 20]
    assert prepared.metadata.splits["train"].num_documents == 360
    assert prepared.metadata.splits["train"].bytes_per_token == pytest.approx(60 / 61)
    assert prepared.metadata.sources[0].num_documents == 400


def test_validation_shards_are_kept_exactly_and_dropped_from_training(tmp_path, rng):
    docs = documents(rng, 300)
    write(tmp_path / "train.bin", docs)
    write(tmp_path / "val.bin", [*docs[:10], *documents(rng, 20)], dtype="<u4")
    (tmp_path / "val.json").write_text('{"dtype": "uint32"}')
    spec = DataSpec(source=(str(tmp_path / "*.bin"),), validation=(str(tmp_path / "val.bin"),), tokenizer=BYTES)
    prepared = prepare(spec, tmp_path / "cache")
    assert prepared.tokens("validation").tolist() == np.fromfile(tmp_path / "val.bin", dtype="<u4").tolist()
    training = set(split_documents(prepared.tokens("train"))) | set(split_documents(prepared.tokens("test")))
    assert training == set(map(tuple, docs[10:]))
    assert prepared.metadata.dedup.in_validation == 10
    assert prepared.metadata.dedup.exact == 0


def test_repeated_documents_are_read_once_unless_duplicates_are_wanted(tmp_path, rng):
    docs = documents(rng, 100)
    write(tmp_path / "a.bin", docs + docs)
    for dedup, expected in (("exact", 100), ("none", 200)):
        spec = DataSpec(source=(str(tmp_path / "a.bin"),), tokenizer=BYTES, dedup=dedup)
        card = prepare(spec, tmp_path / "cache").metadata
        assert sum(split.num_documents for split in card.splits.values()) == expected


def test_one_endless_document_is_cut_and_pieces_end_where_text_is_missing(tmp_path, rng):
    tokens = rng.integers(97, 123, 500_000).astype("<u2")
    tokens.tofile(tmp_path / "a.bin")
    prepared = prepare(DataSpec(source=(str(tmp_path / "a.bin"),), tokenizer=BYTES), tmp_path / "cache")
    sizes = [prepared.metadata.splits[split].num_tokens for split in ("train", "validation", "test")]
    assert [round(size / 500_000, 2) for size in sizes] == [0.9, 0.05, 0.05]
    for split in ("train", "validation", "test"):
        parts = split_documents(prepared.tokens(split))
        assert len(parts) == prepared.metadata.splits[split].num_documents
        assert all(len(part) >= 5001 for part in parts)


def test_width_follows_header_then_card_then_vocabulary(tmp_path):
    ids = [1, 2, 70_000 % 257, 256]
    for name, magic, dtype in (("h16", 20240520, "<u2"), ("h32", 20240801, "<u4")):
        header = struct.pack("<3i", magic, 1, len(ids)).ljust(1024, b"\0")
        (tmp_path / f"{name}.bin").write_bytes(header + np.array(ids, dtype=dtype).tobytes())
        assert open_shard(tmp_path / f"{name}.bin", 257).tolist() == ids
    write(tmp_path / "card.bin", [ids], dtype="<u4")
    (tmp_path / "card.json").write_text(json.dumps({"dtype": "uint32"}))
    assert open_shard(tmp_path / "card.bin", 257).tolist() == ids
    write(tmp_path / "small.bin", [ids])
    assert open_shard(tmp_path / "small.bin", 65_536).tolist() == ids
    write(tmp_path / "large.bin", [ids], dtype="<u4")
    assert open_shard(tmp_path / "large.bin", 65_537).tolist() == ids


def test_a_header_whose_count_does_not_fit_is_taken_for_tokens(tmp_path):
    header = struct.pack("<3i", 20240520, 1, 999).ljust(1024, b"\0")
    (tmp_path / "a.bin").write_bytes(header)
    assert len(open_shard(tmp_path / "a.bin", 65_536)) == 512


def test_impossible_shards_are_all_named_with_what_is_wrong(tmp_path):
    (tmp_path / "empty.bin").write_bytes(b"")
    (tmp_path / "odd.bin").write_bytes(b"\0\0\0")
    write(tmp_path / "wide.bin", [[1, 2, 3, 300, 5]])
    write(tmp_path / "card.bin", [[1]])
    (tmp_path / "card.json").write_text('{"dtype": "int8"}')
    with pytest.raises(DataError) as caught:
        prepare(DataSpec(source=(str(tmp_path / "*.bin"),), tokenizer=BYTES), tmp_path / "cache")
    messages = [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]
    assert messages == [
        'card.json: must hold {"dtype": "uint16"} or {"dtype": "uint32"}, not \'int8\'',
        "empty.bin: must hold whole uint16 token ids, at least one, not 0 bytes (by the tokenizer's 257 tokens)",
        "odd.bin: must hold whole uint16 token ids, at least one, not 3 bytes (by the tokenizer's 257 tokens)",
        "wide.bin (uint16, by the tokenizer's 257 tokens): 300 is not a token of the tokenizer, which has 257 "
        "(token 3 of the shard) (check the tokenizer and the width of the ids)",
    ]
    assert not list((tmp_path / "cache").iterdir())


def test_a_shard_without_ends_is_one_document(tmp_path, rng):
    write(tmp_path / "a.bin", [rng.integers(97, 123, 20_000).tolist()])
    metadata = prepare(DataSpec(source=(str(tmp_path / "a.bin"),), tokenizer=BYTES), tmp_path / "cache").metadata
    assert metadata.sources[0].num_documents == 1


def test_a_changed_width_card_prepares_anew(tmp_path, rng):
    write(tmp_path / "a.bin", documents(rng, 100))
    spec = DataSpec(source=(str(tmp_path / "a.bin"),), tokenizer=BYTES)
    first = prepare(spec, tmp_path / "cache")
    (tmp_path / "a.json").write_text('{"dtype": "uint16"}')
    second = prepare(spec, tmp_path / "cache")
    assert first.folder != second.folder
    assert first.metadata.fingerprint == second.metadata.fingerprint


@pytest.mark.parametrize("vocab_size", [257, 4096, 50_257, 65_536])
def test_ids_of_a_small_vocabulary_in_32_bits_are_read_in_32_bits(tmp_path, rng, vocab_size):
    ids = rng.integers(0, vocab_size, 60_000)
    ids.astype("<u4").tofile(tmp_path / "a.bin")
    assert open_shard(tmp_path / "a.bin", vocab_size).tolist() == ids.tolist()
    ids.astype("<u2").tofile(tmp_path / "a.bin")
    assert open_shard(tmp_path / "a.bin", vocab_size).tolist() == ids.tolist()


def test_a_width_that_someone_names_is_checked_too(tmp_path, rng):
    rng.integers(0, 4096, 1000).astype("<u4").tofile(tmp_path / "a.bin")
    (tmp_path / "a.json").write_text('{"dtype": "uint16"}')
    with pytest.raises(DataError, match=r"would be read as uint16 \(by a\.json\), but holds 32-bit numbers"):
        open_shard(tmp_path / "a.bin", 4096)


@pytest.mark.parametrize("dtype", ["<i8", ">i8", ">i4", ">u2"])
@pytest.mark.parametrize("vocab_size", [257, 4096, 50_257, 100_000])
def test_other_widths_and_byte_orders_are_refused(tmp_path, rng, dtype, vocab_size):
    ids = rng.integers(1, min(vocab_size, 50_000), 5000).astype(dtype)
    ids.tofile(tmp_path / "a.bin")
    with pytest.raises(DataError, match=r"bit numbers|is not a token of the tokenizer|whole uint"):
        open_shard(tmp_path / "a.bin", vocab_size)
    small = rng.integers(97, 123, 5000).astype(dtype)
    small.tofile(tmp_path / "a.bin")
    with pytest.raises(DataError, match=r"holds (big-endian )?\d\d-bit numbers") as caught:
        open_shard(tmp_path / "a.bin", vocab_size)
    # The hint works.
    convert = str(caught.value).partition("(np.")[2].partition(".tofile(NEW)")[0]
    assert eval(f"np.{convert}", {"np": np, "FILE": tmp_path / "a.bin"}).tolist() == small.tolist()


def test_files_that_begin_as_something_else_are_named(tmp_path, rng):
    np.save(tmp_path / "a.npy", rng.integers(0, 257, 100).astype("<u2"))
    (tmp_path / "a.npy").rename(tmp_path / "a.bin")
    with pytest.raises(DataError, match=r"a\.bin: is a NumPy file, not a shard of tokens"):
        open_shard(tmp_path / "a.bin", 65_536)


def test_files_named_by_splits_fill_their_splits(tmp_path, rng):
    docs = documents(rng, 300)
    folder = tmp_path / "nano"
    folder.mkdir()
    write(folder / "train.bin", docs)
    write(folder / "val.bin", [*docs[:10], *documents(rng, 20)])
    prepared = prepare(DataSpec(source=(str(folder),), tokenizer=BYTES), tmp_path / "cache")
    assert prepared.tokens("validation").tolist() == np.fromfile(folder / "val.bin", dtype="<u2").tolist()
    training = set(split_documents(prepared.tokens("train"))) | set(split_documents(prepared.tokens("test")))
    assert training == set(map(tuple, docs[10:]))
    assert prepared.metadata.dedup.dropped["in_validation"].num_characters == 610
    (folder / "prepare.py").write_text("import numpy")
    (folder / "readme.md").write_text("# shakespeare")
    beside = prepare(DataSpec(source=(str(folder),), tokenizer=BYTES), tmp_path / "cache").metadata
    assert beside.fingerprint == prepared.metadata.fingerprint
    assert [(one.reason, one.names) for one in beside.sources[0].passed_over] == [
        ("beside_splits", ("prepare.py", "readme.md"))
    ]
    assert [notice.kind for notice in beside.sources[0].notices] == ["splits_by_name"]
    (folder / "meta.pkl").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"bytes is not the tokenizer of tokens beside .*meta\.pkl \(in its folder, `py"
    ):
        prepare(DataSpec(source=(str(folder),), tokenizer=BYTES), tmp_path / "cache")
    (folder / "meta.pkl").unlink()
    (folder / "input.txt").write_text("First Citizen")
    with pytest.raises(DataError, match=r"input\.txt is text, but .*train\.bin holds tokens"):
        prepare(DataSpec(source=(str(folder),), tokenizer=BYTES), tmp_path / "cache")


def test_the_tokenizer_may_be_a_folder(tmp_path, rng):
    (tmp_path / "tokenizer").mkdir()
    save_byte_tokenizer(tmp_path / "tokenizer")
    write(tmp_path / "a.bin", documents(rng, 50))
    spec = TokenizerSpec(kind="file", path=str(tmp_path / "tokenizer"))
    prepared = prepare(DataSpec(source=(str(tmp_path / "a.bin"),), tokenizer=spec), tmp_path / "cache")
    assert prepared.metadata.eos_id == EOS
    assert prepared.tokenizer().decode(prepared.tokens("test")[:3].tolist()).isalpha()
