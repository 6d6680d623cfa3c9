"""Proves that each kind of text file gives its documents, and that a bad file is named with the place in it."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mbo_search.data.readers import LONGEST_LINE_BYTES, read_file
from mbo_search.errors import DataError


def texts(file, text_field="text") -> list[str]:
    return [document.text for document in read_file(file, text_field)]


def error(file, text_field="text") -> str:
    with pytest.raises(DataError) as caught:
        list(read_file(file, text_field))
    return str(caught.value).replace(str(file), file.name)


def test_text_files_are_one_document(tmp_path):
    for suffix in (".txt", ".md", ".py", ".TXT"):
        file = tmp_path / f"file{suffix}"
        file.write_text("one\n\ntwo \u4f60\u597d\n", encoding="utf-8")
        assert texts(file) == ["one\n\ntwo \u4f60\u597d\n"]


def test_the_end_of_text_mark_divides_a_text_file(tmp_path):
    file = tmp_path / "stories.txt"
    file.write_text("one\n<|endoftext|>\ntwo\n<|endoftext|>\n")
    assert [text.strip() for text in texts(file)] == ["one", "two"]
    source = tmp_path / "program.py"
    source.write_text("EOS = '<|endoftext|>'")
    assert texts(source) == ["EOS = '<|endoftext|>'"]


def test_a_byte_order_mark_is_no_text(tmp_path):
    file = tmp_path / "windows.txt"
    file.write_bytes(b"\xef\xbb\xbftext")
    assert texts(file) == ["text"]


def test_bytes_that_are_not_utf8_are_named_with_their_place(tmp_path):
    file = tmp_path / "latin.txt"
    file.write_bytes(b"caf\xe9 au lait")
    assert error(file) == "latin.txt: is not UTF-8 at byte 3: 0xe9 (iconv or your editor converts it)"


@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        ("utf-16", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("utf-32-be-sig", "UTF-32"),
        ("gb18030", "GB18030"),
        ("euc-kr", "EUC-KR"),
    ],
)
def test_the_likely_encoding_is_named(tmp_path, encoding, named):
    file = tmp_path / "text.txt"
    text = (
        "\uc548\ub155\ud558\uc138\uc694"
        if encoding == "euc-kr"
        else "\u4eca\u5929\u5929\u6c14\u5f88\u597d\uff0c\u6211\u4eec\u51fa\u53bb\u73a9\u3002"
    )
    mark, encoding = (b"\0\0\xfe\xff", "utf-32-be") if encoding.endswith("-sig") else (b"", encoding)
    file.write_bytes(mark + text.encode(encoding))
    assert error(file).endswith(f"(it looks like {named}; `iconv -f {named} -t UTF-8` converts it)")


def test_lines_of_jsonl_are_documents_blank_ones_aside_and_null_is_empty(tmp_path):
    file = tmp_path / "data.jsonl"
    rows = [{"text": "one\ntwo", "id": 1}, {"text": "\u4f60\u597d"}, {"text": None}]
    file.write_text("\ufeff" + "\r\n\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    assert texts(file) == ["one\ntwo", "\u4f60\u597d", ""]
    assert [document.name for document in read_file(file, "text")] == [f"{file}:{line}" for line in (1, 3, 5)]


def test_an_unknown_field_names_the_nearest_one(tmp_path):
    file = tmp_path / "data.jsonl"
    file.write_text('{"content": "x", "Text": "y"}\n')
    assert error(file) == (
        "data.jsonl:1: data.text_field: text is not a field of the file (did you mean Text? fields: content, Text)"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{broken", "data.jsonl:2:2: is not JSON: Expecting property name"),
        (b'["text"]', "data.jsonl:2: must be an object, not list"),
        (b'{"text": 3}', "data.jsonl:2: field 'text' must be a string, not int"),
        (b"[" * 100_000, "data.jsonl:2: is not readable JSON"),
        (b'{"text": ' + b"9" * 5000 + b"}", "data.jsonl:2: is not readable JSON"),
        (b'{"text": "\xff"}', "data.jsonl:2: is not UTF-8 at byte 27: 0xff"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    file = tmp_path / "data.jsonl"
    file.write_bytes(b'{"text": "good"}\n' + line + b"\n")
    assert error(file).startswith(message)


def test_a_huge_line_is_refused_before_it_is_parsed(tmp_path):
    file = tmp_path / "data.jsonl"
    with file.open("wb") as output:
        output.truncate(LONGEST_LINE_BYTES + 2)
    assert error(file) == ("data.jsonl:1: is longer than 64.0 MiB (a .jsonl file holds one document a line)")


def test_rows_of_parquet_are_documents(tmp_path):
    file = tmp_path / "data.parquet"
    rows = [f"row {row}" for row in range(3000)]
    pq.write_table(pa.table({"id": list(range(3001)), "text": [*rows, None]}), file)
    assert texts(file) == [*rows, ""]


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_every_arrow_type_of_strings_is_read(tmp_path, kind):
    file = tmp_path / "data.parquet"
    pq.write_table(pa.table({"body": pa.array(["one", "two", "one"], type=kind)}), file)
    assert texts(file, "body") == ["one", "two", "one"]


def test_parquet_faults_are_named(tmp_path):
    file = tmp_path / "data.parquet"
    pq.write_table(pa.table({"content": ["x"], "text": [1]}), file)
    assert error(file) == "data.parquet: field 'text' must hold strings, not int64"
    assert "did you mean content? fields: content, text" in error(file, "contents")
    file.write_bytes(b"PAR1 no parquet")
    assert error(file).startswith("data.parquet: is not a .parquet file that can be read")
    file.write_bytes(b"")
    assert error(file).startswith("data.parquet: is not a .parquet file that can be read")


def test_a_file_that_went_away_is_a_user_error(tmp_path):
    assert error(tmp_path / "gone.txt") == "gone.txt: cannot be read: No such file or directory"


def packed(content: bytes, suffix: str) -> bytes:
    if suffix == ".zst":
        return pa.compress(content, codec="zstd", asbytes=True)
    return {".gz": gzip, ".bz2": bz2, ".xz": lzma}[suffix].compress(content)


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_compressed_files_are_read_as_what_they_hold(tmp_path, suffix):
    rows = [f"row {row}" for row in range(5000)]
    lines = "".join(json.dumps({"text": row}) + "\n" for row in rows)
    for name, content, expected in (
        ("data.jsonl", lines, rows),
        ("book.TXT", "one\n<|endoftext|>\ntwo", ["one\n", "\ntwo"]),
        ("page.html", "<p>one</p>", ["one"]),
        ("table.csv", "text\none\ntwo\n", ["one", "two"]),
    ):
        file = tmp_path / f"{name}{suffix}"
        file.write_bytes(packed(content.encode(), suffix))
        assert texts(file) == expected
    # Two parts one after the other, as parallel compressors write them.
    file.write_bytes(packed(b"text\none\n", suffix) + packed(b"two\n", suffix))
    assert texts(file) == ["one", "two"]


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_damaged_compressed_files_are_named(tmp_path, suffix):
    file = tmp_path / f"data.jsonl{suffix}"
    whole = packed(json.dumps({"text": "x " * 10_000}).encode() + b"\n" + os.urandom(3000).hex().encode(), suffix)
    file.write_bytes(whole[: len(whole) // 2])
    assert error(file).startswith(f"data.jsonl{suffix}: ")
    file.write_bytes(b"not compressed at all")
    assert error(file).startswith(f"data.jsonl{suffix}: ")


def test_pages_give_what_a_reader_sees_block_by_block(tmp_path):
    file = tmp_path / "page.html"
    file.write_text(
        "<!DOCTYPE html><html><head><title>Titel</title><style>p {}</style></head><body><script>f('<p>')</script>"
        "<h1>Eins</h1>\n<p>Zwei  <em>drei</em>\nvier &lt;5&gt;<br>sechs</p><ul><li>a</li><li>b</li></ul>"
        "<pre>x\n  y</pre>"
    )
    assert texts(file) == ["Titel\n\nEins\n\nZwei drei vier <5>\nsechs\n\na\n\nb\n\nx\ny"]
    file.write_bytes("<meta charset='gb2312'><p>\u4f60\u597d".encode("gb2312"))
    assert texts(file) == ["\u4f60\u597d"]
    file.write_bytes(b"<p>caf\xe9")
    assert error(file).startswith("page.html: is not UTF-8 at byte 6: 0xe9")


def test_rows_of_separated_values_are_documents(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text('id,text\n1,"one, ""two""\nthree"\n2,\n3,NA\n4,0123\n', encoding="utf-8")
    assert texts(file) == ['one, "two"\nthree', "", "NA", "0123"]
    assert "did you mean text? fields: id, text" in error(file, "texts")
    tabs = tmp_path / "data.tsv"
    tabs.write_text("\ufefftext\tid\none, two\t1\n", encoding="utf-8")
    assert texts(tabs) == ["one, two"]
    file.write_text("id,text\n1,one,two\n")
    assert "data.csv: is not a table that can be read: CSV parse error: Row #2" in error(file)
    file.write_text("text,text\none,two\n")
    assert error(file) == "data.csv: has 2 columns named 'text' (rename or drop one of them)"
    file.write_bytes(b"")
    assert error(file).startswith("data.csv: is not a table that can be read")


def test_arrow_files_of_both_kinds_are_read(tmp_path):
    file = tmp_path / "data.arrow"
    table = pa.table({"id": list(range(3000)), "text": [f"row {row}" for row in range(3000)]})
    for opener in (pa.ipc.new_stream, pa.ipc.new_file):
        with opener(str(file), table.schema) as writer:
            writer.write_table(table, max_chunksize=700)
        assert texts(file) == table["text"].to_pylist()
    file.write_bytes(b"nothing of that kind")
    assert error(file).startswith("data.arrow: is not an .arrow file that can be read")


def test_a_dot_leads_into_nested_fields(tmp_path):
    rows = [{"en": "one", "de": "eins"}, None, {"en": None, "de": "drei"}]
    table = tmp_path / "data.parquet"
    pq.write_table(pa.table({"id": [1, 2, 3], "translation": rows}), table)
    lines = tmp_path / "data.jsonl"
    lines.write_text("".join(json.dumps({"translation": row or {"en": None}}) + "\n" for row in rows))
    for file in (table, lines):
        assert texts(file, "translation.en") == ["one", "", ""]
        assert "name a part of it, such as data.text_field: translation.en" in error(file, "translation")
        assert "translation.fr is not a field of the file" in error(file, "translation.fr")
    pq.write_table(pa.table({"a.b": ["dotted"]}), table)
    assert texts(table, "a.b") == ["dotted"]


def test_columns_that_hold_no_text_say_what_helps(tmp_path):
    file = tmp_path / "data.parquet"
    pq.write_table(pa.table({"text": [["a", "b"]]}), file)
    assert "must hold strings, not list<element: string> (write one text for each row first" in error(file)
    pq.write_table(pa.table({"text": pa.nulls(3)}), file)
    assert "must hold strings, not null (it holds no value at all)" in error(file)


def test_two_columns_of_one_name_are_a_problem_if_they_are_the_text(tmp_path):
    file = tmp_path / "data.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]), file)
    assert error(file) == "data.parquet: has 2 columns named 'text' (rename or drop one of them)"
    arrays = [pa.array([1]), pa.array([2]), pa.array(["b"])]
    pq.write_table(pa.Table.from_arrays(arrays, names=["id", "id", "text"]), file)
    assert texts(file) == ["b"]


def test_a_name_that_is_not_utf8_can_be_printed(tmp_path):
    file = tmp_path / os.fsdecode(b"caf\xe9.txt")
    file.write_bytes(b"\xff")
    with pytest.raises(DataError) as caught:
        list(read_file(file, "text"))
    str(caught.value).encode()
    assert "caf\\xe9.txt: is not UTF-8" in str(caught.value)
    assert all(document.name.encode() for document in read_jsonl_with_that_name(tmp_path))


def read_jsonl_with_that_name(folder):
    file = folder / os.fsdecode(b"caf\xe9.jsonl")
    file.write_text('{"text": "x"}')
    return list(read_file(file, "text"))
