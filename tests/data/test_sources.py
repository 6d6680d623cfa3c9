"""Proves what an entry of `data.source` finds on disk, and that everything wrong is said at once."""

from __future__ import annotations

import os

import pytest

from mbo_search.data.metadata import MOST_NAMES
from mbo_search.data.sources import resolve_sources
from mbo_search.errors import DataError
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec


@pytest.fixture
def texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "b.md", "sub/c.py", "sub/D.TXT", ".hidden.txt", ".git/x.txt", "sub/picture.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def files(*source: str, **settings) -> list[list[str]]:
    return [[file.name for file in found.files] for found in resolve_sources(DataSpec(source=source, **settings))]


def passed(*source: str, **settings) -> list[tuple[str, tuple[str, ...]]]:
    found = resolve_sources(DataSpec(source=source, **settings))
    return [(one.reason, one.names) for source in found for one in source.passed_over if one.reason != "hidden"]


def problems(*source: str, **settings) -> list[str]:
    with pytest.raises(DataError) as caught:
        resolve_sources(DataSpec(source=source, **settings))
    return [str(problem) for problem in caught.value.problems]


def test_a_folder_gives_its_text_files_in_order_hidden_ones_aside(texts):
    assert files(".") == [["a.txt", "b.md", "D.TXT", "c.py"]]


def test_a_file_a_glob_and_a_deep_glob_give_theirs(texts):
    assert files("a.txt", "sub/*.py", "**/*.md") == [["a.txt"], ["c.py"], ["b.md"]]


def test_a_file_whose_name_holds_glob_characters_is_that_file(texts):
    (texts / "a[1].txt").write_text("x")
    assert files("a[1].txt") == [["a[1].txt"]]


def test_a_glob_may_lie_in_a_folder_whose_name_holds_glob_characters(texts):
    (texts / "run[1]").mkdir()
    (texts / "run[1]" / "a.txt").write_text("x")
    assert files("run[1]/*.txt") == [["a.txt"]]
    assert files(str(texts / "run[[]1]" / "*.txt")) == [["a.txt"]]


def test_a_file_that_two_entries_find_is_read_once(texts):
    assert files("a.txt", ".") == [["a.txt"], ["b.md", "D.TXT", "c.py"]]
    assert problems("a.txt", "./a.txt") == [
        "data.source.1: ./a.txt holds only files that other entries name already"
    ]


def test_validation_files_are_not_read_for_training(texts):
    assert files("*.*", validation=("a.txt",)) == [["b.md"], ["a.txt"]]


def test_a_bare_corpus_name_is_the_corpus_even_beside_a_folder_of_that_name(texts):
    (texts / "ref").mkdir()
    (texts / "ref" / "own.txt").write_text("x")
    corpus, folder = resolve_sources(DataSpec(source=("ref", "./ref")))
    assert corpus.corpus is not None
    assert [file.name for file in folder.files] == ["own.txt"]
    assert [(notice.kind, notice.subject) for notice in corpus.notices] == [("shadowed_corpus", "ref")]
    assert not resolve_sources(DataSpec(source=("docs",)))[0].notices


@pytest.mark.parametrize(("name", "hint"), [("a.json", "jq -c"), ("a.npy", "np.load"), ("a.zip", "unpack it")])
def test_a_file_that_is_not_read_comes_with_the_way_to_convert_it(texts, name, hint):
    (texts / name).write_text("x")
    assert hint in problems(name)[0]


def test_links_to_folders_are_followed_and_loops_do_no_harm(texts, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "far.txt").write_text("far")
    (elsewhere / "back").symlink_to(texts)
    (texts / "sub" / "loop").symlink_to(texts)
    (texts / "link").symlink_to(elsewhere)
    (texts / "self.txt").symlink_to("self.txt")
    (texts / "broken.txt").symlink_to("nowhere.txt")
    assert files(".") == [["a.txt", "b.md", "far.txt", "D.TXT", "c.py"]]
    assert files("**/*.txt") == [["a.txt", "far.txt"]]
    assert ("not_a_file", ("broken.txt", "self.txt")) in passed(".")


def test_what_is_found_but_not_read_is_named_with_the_reason(texts):
    for number in range(30):
        (texts / "sub" / f"page{number:02}.docx").write_text("x")
    (texts / "people.csv").write_text("name,age\nA,3\n")
    (texts / "table.csv").write_text("id,text\n1,hello\n")
    (source,) = resolve_sources(DataSpec(source=(".",)))
    assert [file.name for file in source.files] == ["a.txt", "b.md", "D.TXT", "c.py", "table.csv"]
    told = {one.reason: one for one in source.passed_over}
    assert told["hidden"].names == (".git", ".hidden.txt")
    assert told["suffix"].num_files == 31
    assert told["suffix"].names[:2] == ("sub/page00.docx", "sub/page01.docx")
    assert len(told["suffix"].names) == MOST_NAMES
    assert told["no_field"].names == ("people.csv",)


def test_a_folder_of_text_and_shards_is_refused_and_one_of_shards_is_not(texts):
    (texts / "sub" / "model.bin").write_bytes(b"\0\0")
    (texts / "shards").mkdir()
    (texts / "shards" / "part.bin").write_bytes(b"\0\0")
    found = problems("sub", tokenizer=TokenizerSpec(kind="bytes"))
    assert len(found) == 1
    assert "D.TXT is text, but" in found[0]
    assert "model.bin holds tokens; a study reads one or the other (name the token files alone" in found[0]
    (texts / "shards" / "part.json").write_text('{"dtype": "uint16"}')
    assert files("shards", tokenizer=TokenizerSpec(kind="bytes")) == [["part.bin"]]
    assert passed("shards", tokenizer=TokenizerSpec(kind="bytes")) == []


def roles(*source: str, **settings) -> dict[str, list[str]]:
    return {
        found.role: [file.name for file in found.files]
        for found in resolve_sources(DataSpec(source=source, **settings))
    }


def test_files_named_by_splits_go_to_their_splits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (
        "train-00000-of-00002",
        "train-00001-of-00002",
        "validation-00000-of-00001",
        "test-00000-of-00001",
    ):
        (tmp_path / f"{name}.jsonl.gz").write_text("")
    for name in ("README.md", "extra.jsonl"):
        (tmp_path / name).write_text("")
    assert roles(".") == {
        "train": ["extra.jsonl", "train-00000-of-00002.jsonl.gz", "train-00001-of-00002.jsonl.gz"],
        "validation": ["validation-00000-of-00001.jsonl.gz"],
        "test": ["test-00000-of-00001.jsonl.gz"],
    }
    source = resolve_sources(DataSpec(source=(".",)))[0]
    assert passed(".") == [("beside_splits", ("README.md",))]
    assert [notice.kind for notice in source.notices] == ["splits_by_name"]
    assert roles("train-*") == {"train": ["train-00000-of-00002.jsonl.gz", "train-00001-of-00002.jsonl.gz"]}


def test_a_validation_of_ones_own_replaces_the_one_that_a_folder_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("data/train.txt", "data/valid.txt", "data/test.txt", "own.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert roles("data", validation=("own.txt",)) == {
        "train": ["train.txt"], "validation": ["own.txt"], "test": ["test.txt"]
    }  # fmt: skip
    assert passed("data", validation=("own.txt",)) == [("other_split", ("valid.txt",))]


def test_folders_named_by_splits_decide_where_file_names_do_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("train/data-0.arrow", "test/data-0.arrow", "train/state.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert roles(".") == {"train": ["data-0.arrow"], "test": ["data-0.arrow"]}


def test_programs_and_text_without_a_training_part_are_not_named_by_splits(texts):
    for name in ("train.py", "test_parser.py", "test.txt"):
        (texts / "sub" / name).write_text("")
    assert roles("sub") == {"train": ["D.TXT", "c.py", "test.txt", "test_parser.py", "train.py"]}


def test_a_validation_file_of_the_folder_is_not_trained_on_whatever_the_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("train.txt", "test.txt"):
        (tmp_path / name).write_text("")
    assert problems("*.txt", "test.txt") == [
        "data.source.1: test.txt holds only files that other entries name already"
    ]
    assert problems("test.txt", validation=("test.txt",)) == [
        "data.source.0: test.txt holds only files that other entries name already"
    ]


def test_file_names_that_are_not_utf8_are_read_and_told(texts):
    name = os.fsdecode(b"caf\xe9.txt")
    (texts / "sub" / name).write_text("coffee")
    (texts / "sub" / os.fsdecode(b"caf\xe9.bad")).write_text("coffee")
    assert files("sub") == [["D.TXT", "c.py", name]]
    assert passed("sub") == [("suffix", ("caf\\xe9.bad", "picture.png"))]


def test_everything_wrong_is_said_at_once(texts):
    (texts / "empty").mkdir()
    found = problems("a.tx", "sub/picture.png", "empty", "*.csv", "qa:klingon", validation=("gone.txt",))
    assert len(found) == 6
    assert found[0].startswith("data.validation.0: gone.txt does not exist")
    assert found[1].startswith("data.source.0: a.tx does not exist (did you mean a.txt? built-in corpora: ")
    assert found[2].startswith("data.source.1: sub/picture.png has a suffix that is not read (read are .txt, .md")
    assert found[3].startswith("data.source.2: empty holds no file that can be read")
    assert found[4].startswith("data.source.3: *.csv holds no file that can be read")
    assert found[5].startswith("data.source.4: qa:klingon cannot be read: there is no such language")


def test_a_misspelled_corpus_is_recognised(texts):
    assert "did you mean prose?" in problems("prsoe")[0]


def test_hostile_entries_are_user_errors(texts):
    os.mkfifo(texts / "pipe.txt")
    found = problems("pipe.txt", "/dev/zero", "a\0b", "~nobody-of-this-name/x", "x" * 5000, "**x", "")
    assert len(found) == 7
    assert "pipe.txt is neither a file nor a folder" in found[0]
    assert "/dev/zero is neither a file nor a folder" in found[1]


def test_shards_exclude_text_near_duplicates_and_a_tokenizer_trained_here(texts):
    (texts / "train.bin").write_bytes(b"\0\0")
    found = problems("train.bin", "a.txt", dedup="near")
    assert len(found) == 3
    assert found[0].startswith("data.source: a.txt is text, but train.bin holds tokens")
    assert found[1].startswith("data.tokenizer.kind: bpe cannot be trained on token shards")
    assert found[2].startswith("data.dedup: near needs text, not token shards")


def test_digests_name_contents_not_places(texts):
    (texts / "copy").mkdir()
    (texts / "copy" / "a.txt").write_text("a.txt")
    original, copy = (resolve_sources(DataSpec(source=(path,)))[0].digest for path in ("a.txt", "copy/a.txt"))
    (texts / "copy" / "a.txt").write_text("changed")
    assert original == copy != resolve_sources(DataSpec(source=("copy/a.txt",)))[0].digest
