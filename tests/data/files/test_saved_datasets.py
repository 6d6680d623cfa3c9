"""Proves that folders in the layout of `save_to_disk` are read: one dataset, or one with splits."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from mbo_search.data.prepare import prepare
from mbo_search.data.readers import read_file
from mbo_search.data.sources import resolve_sources
from mbo_search.data.summary.data_summary import summarize
from mbo_search.errors import DataError
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec

BYTES = TokenizerSpec(kind="bytes")
INFO = {
    "features": {"id": {"dtype": "int64", "_type": "Value"}, "text": {"dtype": "string", "_type": "Value"}},
    "citation": "",
    "description": "",
    "homepage": "",
    "license": "",
}


def write_stream(file, table: pa.Table) -> None:
    with pa.OSFile(str(file), "wb") as output, pa.ipc.new_stream(output, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)


def save_dataset(folder, texts: list[str], num_shards: int = 1, split: str | None = None) -> None:
    """Write what `Dataset.save_to_disk` writes."""
    folder.mkdir(parents=True)
    table = pa.table({"id": list(range(len(texts))), "text": texts})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": INFO["features"]}})})
    size = -(-len(texts) // num_shards)
    names = [f"data-{number:05}-of-{num_shards:05}.arrow" for number in range(num_shards)]
    for number, name in enumerate(names):
        write_stream(folder / name, table.slice(number * size, size))
    state = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": "4c1f8a2b9d3e5f60",
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    (folder / "state.json").write_text(json.dumps(state, indent=2, sort_keys=True))
    (folder / "dataset_info.json").write_text(json.dumps(INFO, indent=2, sort_keys=True))


def save_dataset_dict(folder, splits: dict[str, list[str]]) -> None:
    """Write what `DatasetDict.save_to_disk` writes."""
    for split, texts in splits.items():
        save_dataset(folder / split, texts, split=split)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))


def sentences(name: str, count: int) -> list[str]:
    return [" ".join(f"{name}{number}word{place}" for place in range(40)) for number in range(count)]


def test_a_dataset_of_several_files_is_read_in_order(tmp_path):
    texts = sentences("row", 250)
    save_dataset(tmp_path / "saved", texts, num_shards=3)
    (source,) = resolve_sources(DataSpec(source=(str(tmp_path / "saved"),)))
    assert source.role == "train"
    assert [document.text for file in source.files for document in read_file(file, "text")] == texts


def test_splits_of_a_dataset_dict_are_the_splits_of_the_study(tmp_path):
    texts = {"train": sentences("a", 300), "validation": sentences("b", 30), "test": sentences("c", 30)}
    save_dataset_dict(tmp_path / "saved", texts)
    spec = DataSpec(source=(str(tmp_path / "saved"),), tokenizer=BYTES)
    metadata = prepare(spec, tmp_path / "cache").metadata
    assert {name: split.num_documents for name, split in metadata.splits.items()} == {
        "train": 300,
        "validation": 30,
        "test": 30,
    }
    assert metadata.sources[0].notices[0].kind == "splits_by_name"
    assert summarize(metadata, spec, schedule_tokens=1000).warnings == ()


def test_a_dataset_dict_of_training_text_alone_is_split(tmp_path):
    save_dataset_dict(tmp_path / "saved", {"train": sentences("a", 300)})
    metadata = prepare(DataSpec(source=(str(tmp_path / "saved"),), tokenizer=BYTES), tmp_path / "cache").metadata
    assert all(split.num_documents for split in metadata.splits.values())


def test_what_the_library_computed_is_no_data(tmp_path):
    texts = sentences("row", 50)
    save_dataset(tmp_path / "saved", texts)
    write_stream(tmp_path / "saved" / "cache-1f2e3d4c5b6a7988.arrow", pa.table({"text": ["computed"] * 50}))
    for entry in (tmp_path / "saved", tmp_path / "saved" / "*.arrow"):
        (source,) = resolve_sources(DataSpec(source=(str(entry),)))
        assert [file.name for file in source.files] == ["data-00000-of-00001.arrow"]
        told = {one.reason: one.names for one in source.passed_over}
        assert told["beside_dataset"] == ("cache-1f2e3d4c5b6a7988.arrow",)


def test_arrow_files_without_a_description_are_all_read(tmp_path):
    save_dataset(tmp_path / "saved", sentences("row", 50), num_shards=2)
    (tmp_path / "saved" / "state.json").write_text("[]")
    (source,) = resolve_sources(DataSpec(source=(str(tmp_path / "saved"),)))
    assert len(source.files) == 2


def test_a_missing_part_is_named(tmp_path):
    save_dataset(tmp_path / "saved", sentences("row", 50), num_shards=3)
    (tmp_path / "saved" / "data-00001-of-00003.arrow").unlink()
    with pytest.raises(
        DataError, match=r"state\.json: .*names 1 of 3 data files that are not there: data-00001-of-"
    ):
        resolve_sources(DataSpec(source=(str(tmp_path / "saved"),)))


def test_another_field_is_named_with_those_that_there_are(tmp_path):
    save_dataset(tmp_path / "saved", sentences("row", 50))
    with pytest.raises(DataError, match=r"is not a field of the file .*fields: id, text"):
        prepare(
            DataSpec(source=(str(tmp_path / "saved"),), text_field="content", tokenizer=BYTES), tmp_path / "cache"
        )
