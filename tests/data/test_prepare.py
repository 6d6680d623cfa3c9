"""Proves the whole road from a data section to token files: what they hold, what names them, and the cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mbo_search.data.batches import TokenStream
from mbo_search.data.built_in.corpora import open_corpus
from mbo_search.data.metadata import DataMetadata
from mbo_search.data.prepare import PreparedData, load_prepared, prepare
from mbo_search.data.windows import WindowRows, evaluation_windows
from mbo_search.errors import DataError
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec

SPLITS = ("train", "validation", "test")
BYTES = TokenizerSpec(kind="bytes")


def sentences(rng: np.random.Generator, count: int) -> list[str]:
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    return [f"{number} " + " ".join(rng.choice(words, 20).tolist()) for number in range(count)]


def write_jsonl(path: Path, texts: list[str]) -> str:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return str(path)


def documents(prepared: PreparedData, split: str) -> list[str]:
    tokens = prepared.tokens(split)
    ends = np.flatnonzero(tokens == prepared.metadata.eos_id)
    parts = np.split(tokens, ends + 1)[:-1]
    tokenizer = prepared.tokenizer()
    return [tokenizer.decode(part[:-1].tolist()) for part in parts]


@pytest.fixture
def source(tmp_path, rng) -> str:
    return write_jsonl(tmp_path / "data.jsonl", sentences(rng, 300))


@pytest.mark.parametrize("kind", ["bytes", "bpe"])
def test_chinese_dialogues_come_out_as_they_went_in(tmp_path, kind):
    vocab_size = 600 if kind == "bpe" else None
    tokenizer = TokenizerSpec(kind=kind, vocab_size=vocab_size)
    prepared = prepare(DataSpec(source=("qa:chinese",), tokenizer=tokenizer, dedup="near"), tmp_path)
    texts = [text for split in SPLITS for text in documents(prepared, split)]
    originals = {document.text for document in open_corpus("qa:chinese").read()}
    assert set(texts) <= originals
    assert len(texts) > 0.8 * len(originals)
    metadata = prepared.metadata
    assert sum(split.num_bytes for split in metadata.splits.values()) == sum(len(text.encode()) for text in texts)
    assert metadata.splits["train"].bytes_per_token > (1.5 if kind == "bpe" else 0.9)
    context = 64
    stream = TokenStream(prepared.tokens("train"), context, seed=0)
    windows = evaluation_windows(
        metadata.splits["validation"].num_tokens,
        context=context,
        num_tokens=5 * context,
        split_sha256=metadata.splits["validation"].sha256,
    )
    assert stream.batch(0, 2, context).inputs.max() < metadata.vocab_size
    assert WindowRows(tokens=prepared.tokens("validation"), windows=windows).read(0, 5).inputs.shape == (5, context)


def test_no_document_stands_in_two_splits_or_twice(tmp_path, rng):
    texts = sentences(rng, 200)
    source = write_jsonl(tmp_path / "data.jsonl", [*texts, *texts])
    prepared = prepare(DataSpec(source=(source,), tokenizer=BYTES), tmp_path / "cache")
    found = [text for split in SPLITS for text in documents(prepared, split)]
    assert sorted(found) == sorted(texts)
    assert prepared.metadata.dedup.exact == 200


def test_all_kinds_of_text_files_are_read_together(tmp_path, rng):
    texts = sentences(rng, 120)
    folder = tmp_path / "texts"
    folder.mkdir()
    write_jsonl(folder / "a.jsonl", texts[:40])
    pq.write_table(pa.table({"text": texts[40:80]}), folder / "b.parquet")
    for number, text in enumerate(texts[80:]):
        (folder / f"c{number}{('.txt', '.md', '.py')[number % 3]}").write_text(text)
    prepared = prepare(DataSpec(source=(str(folder),), tokenizer=BYTES), tmp_path / "cache")
    assert sorted(text for split in SPLITS for text in documents(prepared, split)) == sorted(texts)
    metadata = prepared.metadata.sources[0]
    assert (metadata.name, metadata.num_files, metadata.num_documents) == ("texts", 42, 120)


def test_a_single_file_gets_all_three_splits_in_the_shares_asked_for(tmp_path, rng):
    text = "\n\n".join(sentences(rng, 2000))
    (tmp_path / "book.txt").write_text(text)
    spec = DataSpec(source=(str(tmp_path / "book.txt"),), tokenizer=BYTES, validation_share=0.1)
    prepared = prepare(spec, tmp_path / "cache")
    shares = [prepared.metadata.splits[split].num_bytes / len(text) for split in SPLITS]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
    paragraphs = [part for split in SPLITS for text in documents(prepared, split) for part in text.split("\n\n")]
    assert sorted(paragraphs) == sorted(text.split("\n\n"))


def test_separate_validation_stays_whole_and_leaves_training(tmp_path, rng):
    texts = sentences(rng, 200)
    own = sentences(rng, 20)
    spec = DataSpec(
        source=(write_jsonl(tmp_path / "train.jsonl", texts),),
        validation=(write_jsonl(tmp_path / "val.jsonl", [*texts[:30], *own, own[0]]),),
        tokenizer=BYTES,
    )
    prepared = prepare(spec, tmp_path / "cache")
    assert documents(prepared, "validation") == [*texts[:30], *own, own[0]]
    training = documents(prepared, "train") + documents(prepared, "test")
    assert sorted(training) == sorted(texts[30:])
    assert prepared.metadata.dedup.in_validation == 30
    assert 0 < prepared.metadata.splits["test"].num_documents < 20


def test_part_of_a_big_training_file_is_found_in_validation_too(tmp_path, rng):
    book = sentences(rng, 3000)
    (tmp_path / "train.txt").write_text("\n\n".join(book))
    (tmp_path / "val.txt").write_text("\n\n".join(book[1000:1600]))
    for dedup in ("exact", "near"):
        spec = DataSpec(
            source=(str(tmp_path / "train.txt"),),
            validation=(str(tmp_path / "val.txt"),),
            tokenizer=BYTES,
            dedup=dedup,
        )
        prepared = prepare(spec, tmp_path / "cache")
        assert "\n\n".join(documents(prepared, "validation")) == "\n\n".join(book[1000:1600])
        held_out = set(book[1000:1600])
        training = "\n\n".join(documents(prepared, "train") + documents(prepared, "test")).split("\n\n")
        # Only the two pieces at the ends of the part may keep some of it.
        assert len(held_out & set(training)) < 0.2 * len(held_out)


def test_bpe_learns_from_training_text_only(tmp_path, rng):
    validation = write_jsonl(tmp_path / "val.jsonl", ["zzzzqqqq " * 400])
    spec = DataSpec(
        source=(write_jsonl(tmp_path / "train.jsonl", sentences(rng, 100)),),
        validation=(validation,),
        tokenizer=TokenizerSpec(kind="bpe", vocab_size=400),
    )
    tokenizer = prepare(spec, tmp_path / "cache").tokenizer()
    assert len(tokenizer.encode("zzzzqqqq")) == 8
    assert len(tokenizer.encode(" alpha")) == 1


def test_short_documents_are_dropped_and_counted(tmp_path, rng):
    source = write_jsonl(tmp_path / "data.jsonl", [*sentences(rng, 50), "short", "", "   \n"])
    dedup = prepare(DataSpec(source=(source,), tokenizer=BYTES), tmp_path / "cache").metadata.dedup
    assert (dedup.too_short, dedup.empty, dedup.num_compared) == (1, 2, 50)
    assert {reason: drop.num_characters for reason, drop in dedup.dropped.items()} == {"too_short": 5, "empty": 0}


def test_wide_vocabularies_get_wide_token_files(tmp_path, source):
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    from mbo_search.data.tokenizer import save_byte_tokenizer

    save_byte_tokenizer(folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"] |= {f"unused{number}": number for number in range(257, 70_000)}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    spec = TokenizerSpec(kind="file", path=str(folder))
    prepared = prepare(DataSpec(source=(source,), tokenizer=spec), tmp_path / "cache")
    narrow = prepare(DataSpec(source=(source,), tokenizer=BYTES), tmp_path / "cache")
    assert (prepared.metadata.dtype, narrow.metadata.dtype) == ("uint32", "uint16")
    assert prepared.tokens("train").dtype == np.uint32
    assert documents(prepared, "train") == documents(narrow, "train")


def test_card_agrees_with_the_files_and_survives_json(tmp_path, source):
    prepared = prepare(DataSpec(source=(source,), tokenizer=BYTES), tmp_path / "cache")
    metadata = prepared.metadata
    assert DataMetadata.model_validate_json(metadata.model_dump_json()) == metadata
    assert set(metadata.files) == {
        "test.tokens", "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json", "train.tokens",
        "validation.tokens",
    }  # fmt: skip
    for split in SPLITS:
        tokens = prepared.tokens(split)
        assert len(tokens) == metadata.splits[split].num_tokens
        assert not tokens.flags.writeable
        assert (tokens == metadata.eos_id).sum() == metadata.splits[split].num_documents
    assert str(tmp_path) not in metadata.model_dump_json()


def test_a_second_call_finds_the_first_ones_work(tmp_path, source):
    spec = DataSpec(source=(source,), tokenizer=BYTES)
    first = prepare(spec, tmp_path / "cache")
    stamp = (first.folder / "card.json").stat().st_mtime_ns
    second = prepare(spec, tmp_path / "cache")
    assert second == first == load_prepared(first.folder)
    assert (second.folder / "card.json").stat().st_mtime_ns == stamp
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [first.folder.name]


def test_fingerprint_names_tokens_wherever_the_source_lies(tmp_path, source):
    first = prepare(DataSpec(source=(source,), tokenizer=BYTES), tmp_path / "cache")
    moved = tmp_path / "elsewhere" / "renamed.jsonl"
    moved.parent.mkdir()
    shutil.copy(source, moved)
    second = prepare(DataSpec(source=(str(moved),), tokenizer=BYTES), tmp_path / "other-cache")
    assert first.metadata.fingerprint == second.metadata.fingerprint
    for change in (
        {"min_characters": 110},
        {"validation_share": 0.2},
        {"tokenizer": TokenizerSpec(vocab_size=300)},
    ):
        spec = DataSpec(**({"source": (source,), "tokenizer": BYTES} | change))
        assert prepare(spec, tmp_path / "cache").metadata.fingerprint != first.metadata.fingerprint


def test_a_changed_source_is_prepared_anew(tmp_path, source, rng):
    spec = DataSpec(source=(source,), tokenizer=BYTES)
    first = prepare(spec, tmp_path / "cache")
    write_jsonl(Path(source), sentences(rng, 300))
    assert prepare(spec, tmp_path / "cache").folder != first.folder


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "card", "tokenizer"])
def test_damaged_data_is_built_again(tmp_path, source, damage):
    spec = DataSpec(source=(source,), tokenizer=BYTES)
    first = prepare(spec, tmp_path / "cache")
    original = first.tokens("train").tolist()
    file = first.folder / {"card": "card.json", "tokenizer": "tokenizer/tokenizer.json"}.get(damage, "train.tokens")
    content = bytearray(file.read_bytes())
    if damage == "remove":
        file.unlink()
    elif damage == "flip":
        content[100] ^= 1
        file.write_bytes(content)
    else:
        file.write_bytes(content[:-2])
    again = prepare(spec, tmp_path / "cache")
    assert again == first
    assert again.tokens("train").tolist() == original
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [first.folder.name]
    assert not (first.folder / "damaged").exists()


def test_loading_damaged_or_missing_data_is_a_user_error(tmp_path, source):
    prepared = prepare(DataSpec(source=(source,), tokenizer=BYTES), tmp_path / "cache")
    with (prepared.folder / "test.tokens").open("ab") as file:
        file.write(b"\0\0")
    with pytest.raises(DataError, match=r"test\.tokens: is damaged"):
        load_prepared(prepared.folder)
    with pytest.raises(DataError, match=r"holds no prepared data"):
        load_prepared(tmp_path / "nowhere")


def test_processes_that_prepare_at_once_get_the_same_data(tmp_path, source):
    code = (
        "import sys; from pathlib import Path\n"
        "from mbo_search.data.prepare import prepare\n"
        "from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec\n"
        "spec = DataSpec(source=(sys.argv[1],), tokenizer=TokenizerSpec(kind='bpe', vocab_size=400))\n"
        "prepared = prepare(spec, Path(sys.argv[2]))\n"
        "assert len(prepared.tokens('train')) == prepared.metadata.splits['train'].num_tokens\n"
        "print(prepared.folder.name, prepared.metadata.fingerprint)\n"
    )
    command = [sys.executable, "-c", code, source, str(tmp_path / "cache")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(set(outputs)) == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [outputs[0].split()[0]]


def test_what_killed_processes_left_is_removed_after_a_day(tmp_path, source):
    cache = tmp_path / "cache"
    old, new = cache / ".building-old", cache / ".building-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "train.tokens").write_bytes(b"half")
    long_ago = time.time() - 25 * 3600
    os.utime(old, (long_ago, long_ago))
    prepare(DataSpec(source=(source,), tokenizer=BYTES), cache)
    assert not old.exists()
    assert new.exists()


def test_bad_files_are_all_named_and_nothing_is_left(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "texts" / "b.jsonl").write_text("{broken")
    (tmp_path / "texts" / "c.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError) as caught:
        prepare(DataSpec(source=(str(tmp_path / "texts"),), tokenizer=BYTES), tmp_path / "cache")
    assert [Path(problem.where.split(":")[0]).name for problem in caught.value.problems] == [
        "a.txt", "b.jsonl", "c.parquet"
    ]  # fmt: skip
    assert not list((tmp_path / "cache").iterdir())


def test_empty_or_too_little_text_says_so(tmp_path):
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n")
    with pytest.raises(DataError, match=r"holds no text: of 1 documents none has 32 characters"):
        prepare(DataSpec(source=(str(empty),), tokenizer=BYTES), tmp_path / "cache")
    little = write_jsonl(tmp_path / "little.jsonl", ["x" * 40, "y" * 40])
    with pytest.raises(DataError, match=r"2 documents or pieces are left, at least 3 are needed"):
        prepare(DataSpec(source=(little,), tokenizer=BYTES), tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_a_user_error(tmp_path, source):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DataError, match=r"cannot hold prepared data"):
        prepare(DataSpec(source=(source,), tokenizer=BYTES), tmp_path / "cache")


def test_a_missing_tokenizer_path_is_a_user_error(tmp_path, source):
    with pytest.raises(DataError, match=r"data\.tokenizer\.path: is missing for the kind file"):
        prepare(DataSpec(source=(source,), tokenizer=TokenizerSpec(kind="file")), tmp_path / "cache")
    spec = TokenizerSpec(kind="file", path=str(tmp_path / "gone"))
    with pytest.raises(DataError, match=r"gone does not exist"):
        prepare(DataSpec(source=(source,), tokenizer=spec), tmp_path / "cache")


def test_lone_surrogates_and_control_characters_of_json_do_no_harm(tmp_path, rng):
    file = tmp_path / "data.jsonl"
    rows = [json.dumps({"text": f"{text} \ud83d \x00 <|endoftext|>"}) for text in sentences(rng, 60)]
    file.write_text("\n".join(rows))
    prepared = prepare(DataSpec(source=(str(file),), tokenizer=BYTES), tmp_path / "cache")
    texts = [text for split in SPLITS for text in documents(prepared, split)]
    assert len(texts) == 60
    assert all(text.endswith("  <|endoftext|>") for text in texts)


@pytest.mark.slow
def test_default_corpora_are_prepared_in_seconds(tmp_path):
    spec = DataSpec(source=("docs", "ref"), tokenizer=TokenizerSpec(kind="bpe", vocab_size=1024), dedup="near")
    begin = time.process_time()
    metadata = prepare(spec, tmp_path).metadata
    # Processor seconds of all threads; a quiet machine needs about a third of it.
    assert time.process_time() - begin < 20
    assert metadata.splits["train"].num_tokens > 500_000
    assert metadata.splits["validation"].num_tokens > 25_000
    assert metadata.dedup.near > 0
    assert metadata.vocab_size == 1024


def test_the_card_counts_all_that_happened(tmp_path, rng):
    texts = sentences(rng, 200)
    folder = tmp_path / "data"
    folder.mkdir()
    write_jsonl(folder / "train.jsonl", [*texts, *texts[:7], "short", "", "  "])
    write_jsonl(folder / "validation.jsonl", [*texts[100:110], *sentences(rng, 30)])
    write_jsonl(folder / "test.jsonl", [*texts[120:125], *sentences(rng, 30)])
    (folder / "notes.docx").write_text("x")
    (folder / "README.md").write_text("about these data")
    metadata = prepare(DataSpec(source=(str(folder),), tokenizer=BYTES), tmp_path / "cache").metadata
    assert {reason: drop.num_documents for reason, drop in metadata.dedup.dropped.items()} == {
        "empty": 2, "too_short": 1, "exact": 7, "in_validation": 10, "in_test": 5
    }  # fmt: skip
    assert metadata.dedup.num_leaked == 15
    assert metadata.dedup.num_compared == 207
    assert metadata.dedup.num_characters["in_test"] == sum(map(len, texts[120:125]))
    assert {split: found.num_documents for split, found in metadata.splits.items()} == {
        "train": 185, "validation": 40, "test": 35
    }  # fmt: skip
    assert [(source.role, source.num_files, source.num_found) for source in metadata.sources] == [
        ("train", 1, 3), ("validation", 1, 1), ("test", 1, 1)
    ]  # fmt: skip
    told = {one.reason: one.names for one in metadata.sources[0].passed_over}
    assert told == {"suffix": ("notes.docx",), "beside_splits": ("README.md",)}
    assert all(split.num_unknown == 0 for split in metadata.splits.values())


def test_a_file_that_appears_and_is_not_read_is_told_without_other_tokens(tmp_path, rng):
    folder = tmp_path / "data"
    folder.mkdir()
    write_jsonl(folder / "a.jsonl", sentences(rng, 100))
    spec = DataSpec(source=(str(folder),), tokenizer=BYTES)
    before = prepare(spec, tmp_path / "cache").metadata
    (folder / "book.epub").write_text("x")
    after = prepare(spec, tmp_path / "cache").metadata
    assert after.fingerprint == before.fingerprint
    assert after.sources[0].passed_over[0].names == ("book.epub",)


def test_cards_of_earlier_versions_are_still_read(tmp_path, source):
    prepared = prepare(DataSpec(source=(source,), tokenizer=BYTES), tmp_path / "cache")
    card = json.loads((prepared.folder / "card.json").read_text())
    for split in card["splits"].values():
        del split["num_unknown"]
    for found in card["sources"]:
        del found["passed_over"], found["notices"]
    for name in ("empty", "in_test", "num_compared", "num_characters"):
        del card["dedup"][name]
    (prepared.folder / "card.json").write_text(json.dumps(card))
    metadata = load_prepared(prepared.folder).metadata
    assert metadata.splits["train"].unknown_share is None
    assert metadata.dedup.dropped == {}


def test_progress_is_told_phase_by_phase_to_the_end(tmp_path, source):
    told = []
    spec = DataSpec(source=(source,), tokenizer=TokenizerSpec(kind="bpe", vocab_size=400))
    prepare(spec, tmp_path / "cache", told.append)
    phases = list(dict.fromkeys(progress.phase for progress in told))
    assert phases == ["digest", "read", "compare", "tokenizer", "encode"]
    for phase in phases:
        steps = [progress for progress in told if progress.phase == phase]
        assert steps[-1].done == steps[-1].total > 0
        assert [step.done for step in steps] == sorted(step.done for step in steps)
    del told[:]
    prepare(spec, tmp_path / "cache", told.append)
    assert {progress.phase for progress in told} == {"digest"}


def test_names_that_are_not_utf8_are_prepared_and_stored(tmp_path, rng):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    write_jsonl(folder / os.fsdecode(b"\xe9.jsonl"), sentences(rng, 100))
    (folder / os.fsdecode(b"\xe8.doc")).write_text("x")
    metadata = prepare(DataSpec(source=(str(folder),), tokenizer=BYTES), tmp_path / "cache").metadata
    assert metadata.sources[0].name == "caf\\xe9"
    assert metadata.sources[0].passed_over[0].names == ("\\xe8.doc",)


def test_short_chinese_documents_are_kept_where_short_english_ones_are_dropped(tmp_path):
    chinese = [f"\u4eca\u5929\u5929\u6c14\u5f88\u597d{number}" for number in range(100, 200)]
    english = [f"Nice day, isn't it, {number}" for number in range(100, 200)]
    prepared = prepare(
        DataSpec(source=(write_jsonl(tmp_path / "zh.jsonl", chinese),), tokenizer=BYTES, min_characters=24),
        tmp_path / "c",
    )
    assert prepared.metadata.dedup.too_short == 0
    with pytest.raises(DataError, match=r"none has 32 characters"):
        prepare(DataSpec(source=(write_jsonl(tmp_path / "en.jsonl", english),), tokenizer=BYTES), tmp_path / "c")


def test_too_little_text_says_what_became_of_it(tmp_path, rng):
    texts = sentences(rng, 50)
    train = write_jsonl(tmp_path / "train.jsonl", texts)
    own = write_jsonl(tmp_path / "own.jsonl", texts)
    with pytest.raises(DataError) as caught:
        prepare(DataSpec(source=(train,), validation=(own,), tokenizer=BYTES), tmp_path / "cache")
    assert "is too little text to set aside test: 0 documents or pieces are left, at least 2 are needed" in str(
        caught.value
    )
    assert "(50 are in the validation text as well) (name other files in data.validation" in str(caught.value)
    same = write_jsonl(tmp_path / "same.jsonl", [texts[0]] * 9)
    with pytest.raises(DataError, match=r"\(8 are equal to an earlier one\) \(`data\.dedup: none` keeps them\)"):
        prepare(DataSpec(source=(same,), tokenizer=BYTES), tmp_path / "cache")
