"""Proves that articles of a wiki's dump are read one at a time, and that other XML is not taken for one."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import tracemalloc
from xml.sax.saxutils import escape

import pyarrow as pa
import pytest

from mbo_search.data.files.mediawiki import root_name
from mbo_search.data.prepare import prepare
from mbo_search.data.readers import read_file
from mbo_search.data.sources import resolve_sources
from mbo_search.errors import DataError
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="0.11" xml:lang="de">
  <siteinfo>
    <sitename>Wiki</sitename>
    <namespaces>
      <namespace key="-1" case="first-letter">Spezial</namespace>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">Diskussion</namespace>
      <namespace key="6" case="first-letter">Datei</namespace>
      <namespace key="14" case="first-letter">Kategorie</namespace>
    </namespaces>
  </siteinfo>
"""


def revision(text: str, model: str = "wikitext") -> str:
    return f"""    <revision>
      <id>1</id>
      <timestamp>2024-01-01T00:00:00Z</timestamp>
      <contributor><username>A</username><id>2</id></contributor>
      <model>{model}</model>
      <format>text/x-wiki</format>
      <text bytes="{len(text.encode())}" sha1="x" xml:space="preserve">{escape(text)}</text>
    </revision>
"""


def page(title: str, *revisions: str, ns: str = "<ns>0</ns>", redirect: str = "") -> str:
    return (
        f"  <page>\n    <title>{title}</title>\n    {ns}\n    <id>1</id>\n{redirect}{''.join(revisions)}  </page>\n"
    )


DUMP = (
    HEAD
    + page("Schiff", revision("'''Schiffe''' &amp; [[Boot|Boote]].[[Datei:a.jpg|mini|Ein Schiff]][[Kategorie:X]]"))
    + page("Diskussion:Schiff", revision("Ich meine ..."), ns="<ns>1</ns>")
    + page("Kahn", revision("#WEITERLEITUNG [[Schiff]]"), redirect='    <redirect title="Schiff" />\n')
    + page("Daten", revision("{}", model="json"))
    + page("Star Wars: Episode", revision("Alt."), revision("Neu: \u4f60\u597d."))
    + "</mediawiki>\n"
)
ARTICLES = [("Schiff", "Schiffe & Boote."), ("Star Wars: Episode", "Neu: \u4f60\u597d.")]
PACKED = {
    ".xml": lambda content: content,
    ".xml.bz2": bz2.compress,
    ".xml.gz": gzip.compress,
    ".xml.xz": lzma.compress,
    ".xml.zst": lambda content: pa.Codec("zstd").compress(content, asbytes=True),
    ".xml-p1p41242.bz2": bz2.compress,
}


def articles(file) -> list[tuple[str, str]]:
    return [(document.name.removeprefix(f"{file}:"), document.text) for document in read_file(file, "text")]


def error(file) -> str:
    with pytest.raises(DataError) as caught:
        list(read_file(file, "text"))
    return str(caught.value).replace(str(file), file.name)


@pytest.mark.parametrize("suffix", PACKED)
def test_articles_are_documents_named_by_their_titles(tmp_path, suffix):
    file = tmp_path / f"dewiki-pages-articles{suffix}"
    file.write_bytes(PACKED[suffix](DUMP.encode()))
    assert articles(file) == ARTICLES


def test_a_dump_in_several_streams_is_read_to_its_end(tmp_path):
    file = tmp_path / "multistream.xml.bz2"
    head, *pages = DUMP.encode().partition(b"  <page>")
    file.write_bytes(bz2.compress(head) + bz2.compress(b"".join(pages)))
    assert articles(file) == ARTICLES


def test_old_dumps_have_namespaces_in_their_titles_only(tmp_path):
    file = tmp_path / "old.xml"
    pages = (
        page("Diskussion:Schiff", revision("Ich meine ..."), ns=""),
        page("Kahn", revision("#REDIRECT [[Schiff]]"), ns=""),
        page("Star Wars: Episode", revision("Text"), ns=""),
    )
    file.write_text(HEAD.replace("export-0.11", "export-0.3") + "".join(pages) + "</mediawiki>", encoding="utf-8")
    assert articles(file) == [("Star Wars: Episode", "Text")]


def test_memory_does_not_grow_with_the_dump(tmp_path):
    def peak_bytes(count: int) -> int:
        file = tmp_path / f"{count}.xml"
        with file.open("w", encoding="utf-8") as output:
            output.write(HEAD)
            for number in range(count):
                output.write(page(f"Page {number}", revision("word " * 400)))
            output.write("</mediawiki>")
        tracemalloc.start()
        assert sum(1 for _ in read_file(file, "text")) == count
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(10)
    assert peak_bytes(3000) < peak_bytes(100) + 300_000 < 2_000_000 < 3000 * 2000


def test_a_dump_that_is_not_whole_is_named_with_the_line(tmp_path):
    file = tmp_path / "cut.xml"
    file.write_text(DUMP[: DUMP.index("Kahn")], encoding="utf-8")
    assert error(file).startswith(f"cut.xml:{DUMP[: DUMP.index('Kahn')].count(chr(10)) + 1}: is not sound XML: ")
    packed = tmp_path / "cut.xml.bz2"
    packed.write_bytes(bz2.compress(DUMP.encode())[:-20])
    assert "is damaged and cannot be decompressed" in error(packed)
    assert root_name(packed) == "mediawiki"


def test_other_xml_is_refused_by_name_and_passed_over_in_a_folder(tmp_path):
    other = tmp_path / "pom.xml"
    other.write_text("<?xml version='1.0'?>\n<project><text>x</text></project>")
    (tmp_path / "no.xml").write_text("no XML")
    with pytest.raises(DataError, match=r"pom\.xml is XML, but no dump of a MediaWiki \(save its text as"):
        resolve_sources(DataSpec(source=(str(other),)))
    assert "begins with <project>" in error(other)
    (tmp_path / "wiki.xml").write_text(DUMP, encoding="utf-8")
    (source,) = resolve_sources(DataSpec(source=(str(tmp_path),)))
    assert [file.name for file in source.files] == ["wiki.xml"]
    assert [(one.reason, one.names) for one in source.passed_over] == [("suffix", ("no.xml", "pom.xml"))]
    assert [notice.kind for notice in source.notices] == ["only_articles"]


def test_a_missing_library_is_told_before_anything_is_read(tmp_path, monkeypatch):
    file = tmp_path / "wiki.xml"
    file.write_text(DUMP, encoding="utf-8")
    monkeypatch.setitem(sys.modules, "mwparserfromhell", None)
    with pytest.raises(DataError, match=r"mbo-search\[corpora\]"):
        resolve_sources(DataSpec(source=(str(file),)))


def test_a_dump_becomes_tokens(tmp_path):
    file = tmp_path / "wiki.xml.bz2"
    words = [" ".join(f"[[word{number}x{place}]]" for place in range(60)) for number in range(80)]
    pages = (page(f"Page {number}", revision(text)) for number, text in enumerate(words))
    file.write_bytes(bz2.compress((HEAD + "".join(pages) + "</mediawiki>").encode()))
    prepared = prepare(DataSpec(source=(str(file),), tokenizer=TokenizerSpec(kind="bytes")), tmp_path / "cache")
    assert prepared.metadata.sources[0].num_documents == 80
    assert "[[" not in prepared.tokenizer().decode(prepared.tokens("train")[:].tolist())
