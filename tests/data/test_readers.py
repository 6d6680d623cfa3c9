"""Proves that each kind of text file gives its documents, and that a bad file is named with the place in it."""

from __future__ import annotations

import json

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
