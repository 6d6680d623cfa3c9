"""Proves the road from a study with a task to its files, for every form and kind of file."""

from __future__ import annotations

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mbo_search.data.prepare import load_prepared, prepare
from mbo_search.data.tasks.example_rows import find_examples
from mbo_search.errors import DataError
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec

SPLITS = ("train", "validation", "test")
BYTES = TokenizerSpec(kind="bytes")
PAIRS = {"prompt": "question", "completion": "answer"}
QUESTIONS = [{"question": f"What is {number}?", "answer": f"It is {number + 1}."} for number in range(40)]


def write_jsonl(path, rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def write_csv(path, rows, delimiter=",") -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]), delimiter=delimiter)
        table.writeheader()
        table.writerows(rows)
    return str(path)


def write_parquet(path, rows) -> str:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


def write_dataset(folder, rows, features=None) -> str:
    """A folder as `save_to_disk` of `datasets` writes it."""
    folder.mkdir()
    table = pa.Table.from_pylist(rows)
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    file = str(folder / "data-00000-of-00001.arrow")
    with pa.OSFile(file, "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": "train"}
    (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    (folder / "dataset_info.json").write_text("{}", encoding="utf-8")
    return str(folder)


def spec(source, task=PAIRS, **settings) -> DataSpec:
    sources = (source,) if isinstance(source, str) else source
    return DataSpec(source=sources, tokenizer=settings.pop("tokenizer", BYTES), task=task, **settings)


def examples(prepared, split) -> list[tuple[str, str]]:
    """Every example as its prompt and what is asked for."""
    tokens, asked, tokenizer = prepared.tokens(split).tolist(), prepared.asked(split).tolist(), prepared.tokenizer()
    found, start = [], 0
    for end in prepared.ends(split).tolist():
        ids, flags = tokens[start:end], asked[start:end]
        first = flags.index(1)
        assert flags == [0] * first + [1] * (len(ids) - first)
        found.append((tokenizer.spell(ids[:first]), tokenizer.spell(ids[first:])))
        start = end
    return found


def all_examples(prepared) -> list[tuple[str, str]]:
    return sorted(example for split in SPLITS for example in examples(prepared, split))


EXPECTED = sorted((f"{row['question']}\n", f"{row['answer']}<|endoftext|>") for row in QUESTIONS)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("rows.jsonl", write_jsonl),
        ("rows.csv", write_csv),
        ("rows.tsv", lambda path, rows: write_csv(path, rows, "\t")),
        ("semicolons.csv", lambda path, rows: write_csv(path, rows, ";")),
        ("rows.parquet", write_parquet),
        ("dataset", write_dataset),
    ],
)
def test_every_kind_of_file_gives_the_same_examples(tmp_path, name, write):
    prepared = prepare(spec(write(tmp_path / name, QUESTIONS)), tmp_path / "cache")
    assert all_examples(prepared) == EXPECTED
    for split in SPLITS:
        metadata = prepared.metadata.splits[split]
        assert metadata.num_documents == len(examples(prepared, split)) > 0
        found = find_examples(
            prepared.tokens(split), prepared.asked(split), eos_id=256, context=64, ends=prepared.ends(split)
        )
        assert int(found.num_asked.sum()) == metadata.asked.num_tokens


def test_templates_say_what_stands_around_columns(tmp_path):
    source = write_jsonl(tmp_path / "rows.jsonl", QUESTIONS)
    task = {"prompt": "Q: {question} A:", "completion": " {answer}"}
    prompts = {prompt for prompt, _ in all_examples(prepare(spec(source, task), tmp_path / "cache"))}
    assert prompts == {f"Q: {row['question']} A:" for row in QUESTIONS}


def test_nested_columns_are_named_with_a_dot(tmp_path):
    rows = [{"about": {"question": row["question"]}, "answer": row["answer"]} for row in QUESTIONS]
    task = {"prompt": "about.question", "completion": "answer"}
    for source in (write_jsonl(tmp_path / "a.jsonl", rows), write_parquet(tmp_path / "b.parquet", rows)):
        assert all_examples(prepare(spec(source, task), tmp_path / "cache")) == EXPECTED


def test_labels_are_those_of_the_training_text_and_may_be_numbers_with_names(tmp_path):
    rows = [{"body": f"text {number}", "topic": number % 3} for number in range(60)]
    task = {"text": "body", "label": "topic"}
    source = write_csv(tmp_path / "rows.csv", rows)
    assert prepare(spec(source, task), tmp_path / "cache").metadata.labels == ("0", "1", "2")
    features = {"topic": {"names": ["art", "money", "sport"], "_type": "ClassLabel"}}
    source = write_dataset(tmp_path / "named", rows, features)
    assert prepare(spec(source, task), tmp_path / "cache").metadata.labels == ("art", "money", "sport")


@pytest.mark.parametrize("write", [write_jsonl, write_parquet])
def test_chats_ask_for_every_answer(tmp_path, write):
    rows = [
        {
            "chat": [
                {"role": "user", "content": f"{number}?"},
                {"role": "assistant", "content": "Yes."},
                {"role": "user", "content": "Sure?"},
                {"role": "assistant", "content": "Quite."},
            ]
        }
        for number in range(40)
    ]
    source = write(tmp_path / f"chats.{'jsonl' if write is write_jsonl else 'parquet'}", rows)
    prepared = prepare(spec(source, {"messages": "chat"}), tmp_path / "cache")
    tokens, asked = prepared.tokens("train"), prepared.asked("train")
    num_chats = prepared.metadata.splits["train"].num_documents
    answers = prepared.tokenizer().spell(tokens[asked.astype(bool)].tolist())
    assert answers == "Yes.\nQuite.<|endoftext|>" * num_chats


def test_rows_that_ask_for_nothing_are_dropped_and_counted(tmp_path):
    empty = [
        {"question": "Why?", "answer": " "},
        {"question": None, "answer": "x"},
        {"question": "", "answer": "x"},
    ]
    prepared = prepare(spec(write_jsonl(tmp_path / "rows.jsonl", [*QUESTIONS, *empty])), tmp_path / "cache")
    assert prepared.metadata.dedup.empty == 3
    assert all_examples(prepared) == EXPECTED


def test_equal_pairs_are_dropped_and_equal_prompts_stay_in_one_split(tmp_path):
    others = [{"question": row["question"], "answer": "Another one."} for row in QUESTIONS]
    source = write_jsonl(tmp_path / "rows.jsonl", [*QUESTIONS, *QUESTIONS, *others])
    prepared = prepare(spec(source, validation_share=0.2), tmp_path / "cache")
    assert prepared.metadata.dedup.exact == len(QUESTIONS)
    prompts = [{prompt for prompt, _ in examples(prepared, split)} for split in SPLITS]
    assert all(len(examples(prepared, split)) == 2 * len(own) for split, own in zip(SPLITS, prompts, strict=True))
    assert sum(map(len, prompts)) == len(set().union(*prompts)) == len(QUESTIONS)


def test_groups_stay_in_one_split_and_prompts_that_leak_between_them_are_dropped(tmp_path):
    rows = [row | {"group": str(number // 4)} for number, row in enumerate(QUESTIONS)]
    source = write_jsonl(tmp_path / "rows.jsonl", rows)
    prepared = prepare(spec(source, {**PAIRS, "group": "group"}, validation_share=0.2), tmp_path / "cache")
    group_of = {f"{row['question']}\n": row["group"] for row in rows}
    groups = [{group_of[prompt] for prompt, _ in examples(prepared, split)} for split in SPLITS]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 10
    same = [row | {"question": "The same?", "answer": str(number)} for number, row in enumerate(rows)]
    source = write_jsonl(tmp_path / "same.jsonl", [*rows, *same])
    prepared = prepare(spec(source, {**PAIRS, "group": "group"}, validation_share=0.2), tmp_path / "cache")
    assert "The same?\n" in {prompt for prompt, _ in examples(prepared, "validation")}
    assert "The same?\n" not in {prompt for prompt, _ in examples(prepared, "train")}
    assert prepared.metadata.dedup.num_leaked > 0


def test_training_prompts_of_separate_validation_rows_are_dropped_and_counted(tmp_path):
    source = write_jsonl(tmp_path / "train.jsonl", QUESTIONS)
    held = [row | {"answer": "Something else."} for row in QUESTIONS[:5]]
    validation = write_jsonl(tmp_path / "held.jsonl", held)
    prepared = prepare(spec(source, validation=(validation,)), tmp_path / "cache")
    assert prepared.metadata.dedup.in_validation == 5
    assert len(examples(prepared, "validation")) == 5
    assert {prompt for prompt, _ in examples(prepared, "train")}.isdisjoint(f"{row['question']}\n" for row in held)


def test_the_order_of_keys_and_packing_change_no_data_but_what_is_asked_does(tmp_path):
    source = write_jsonl(tmp_path / "rows.jsonl", QUESTIONS)
    plain = prepare(spec(source), tmp_path / "cache")
    assert prepare(spec(source, {**PAIRS, "packing": False}), tmp_path / "cache").folder == plain.folder
    less = prepare(spec(source, {"prompt": "{question}\nIt is", "completion": "x{answer}"}), tmp_path / "cache")
    assert less.metadata.fingerprint != plain.metadata.fingerprint
    loaded = load_prepared(plain.folder)
    assert loaded.is_task
    assert loaded.split_sha256("train") != loaded.metadata.splits["train"].sha256


def test_the_card_of_running_text_says_nothing_of_tasks(tmp_path):
    source = write_jsonl(tmp_path / "rows.jsonl", [{"text": f"{number} " * 20} for number in range(40)])
    prepared = prepare(DataSpec(source=(source,), tokenizer=BYTES), tmp_path / "cache")
    card = json.loads((prepared.folder / "card.json").read_text(encoding="utf-8"))
    assert "labels" not in card
    assert "asked" not in card["splits"]["train"]
    assert not prepared.is_task
    assert prepared.split_sha256("train") == card["splits"]["train"]["sha256"]


def test_columns_that_are_not_there_are_all_named_with_those_that_are(tmp_path):
    task = {"prompt": "{title}: {questoin}", "completion": "reply"}
    sources = [
        write_jsonl(tmp_path / "a.jsonl", QUESTIONS),
        write_csv(tmp_path / "b.csv", QUESTIONS),
        write_parquet(tmp_path / "c.parquet", QUESTIONS),
    ]
    with pytest.raises(DataError) as caught:
        prepare(spec(tuple(sources), task), tmp_path / "cache")
    found = {(problem.key, problem.value, problem.where.rpartition("/")[2]) for problem in caught.value.problems}
    assert found == {
        (f"data.task.{key}", value, where)
        for where in ("a.jsonl:1", "b.csv", "c.parquet")
        for key, value in (("prompt", "title"), ("prompt", "questoin"), ("completion", "reply"))
    }
    assert all("question, answer" in problem.hint for problem in caught.value.problems)
    assert "did you mean question?" in caught.value.problems[1].hint


def test_columns_that_hold_no_text_are_refused_with_a_way_out(tmp_path):
    rows = [{"question": {"text": "Why?"}, "answer": ["So."]} for _ in range(3)]
    source = write_jsonl(tmp_path / "rows.jsonl", rows)
    with pytest.raises(DataError, match="must hold text or numbers, not dict") as caught:
        prepare(spec(source), tmp_path / "cache")
    assert caught.value.problems[0].key == "data.task.prompt"
    assert "question.text" in caught.value.problems[0].hint


def test_files_without_columns_are_refused_alone_and_passed_over_in_a_folder(tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "README.md").write_text("About the rows.", encoding="utf-8")
    with pytest.raises(DataError, match="has no columns"):
        prepare(spec(str(folder / "README.md")), tmp_path / "cache")
    with pytest.raises(DataError, match=r"holds no file that can be read .*files with columns are \.jsonl"):
        prepare(spec(str(folder)), tmp_path / "cache")
    write_csv(folder / "other.csv", [{"id": "1", "note": "x"}])
    with pytest.raises(DataError, match=r"other\.csv has the columns id, note"):
        prepare(spec(str(folder)), tmp_path / "cache")
    write_jsonl(folder / "rows.jsonl", QUESTIONS)
    prepared = prepare(spec(str(folder)), tmp_path / "cache")
    assert all_examples(prepared) == EXPECTED
    (passed,) = prepared.metadata.sources[0].passed_over
    assert (passed.reason, passed.names) == ("no_field", ("README.md", "other.csv"))


def test_rows_that_are_all_empty_are_said(tmp_path):
    source = write_jsonl(tmp_path / "rows.jsonl", [{"question": "", "answer": ""}])
    with pytest.raises(DataError, match="holds no examples: of 1 rows"):
        prepare(spec(source), tmp_path / "cache")


def test_token_shards_have_no_columns(tmp_path):
    (tmp_path / "shard.bin").write_bytes(bytes(100))
    with pytest.raises(DataError, match="needs rows with columns, not token shards"):
        prepare(spec(str(tmp_path / "shard.bin")), tmp_path / "cache")


def test_too_many_labels_are_no_labels(tmp_path, monkeypatch):
    monkeypatch.setattr("mbo_search.data.tasks.example_splits.MOST_LABELS", 20)
    source = write_jsonl(tmp_path / "rows.jsonl", QUESTIONS)
    with pytest.raises(DataError, match=r"data\.task\.label: answer has 3\d values .* at most 20 labels"):
        prepare(spec(source, {"text": "question", "label": "answer"}), tmp_path / "cache")


def test_a_saved_dataset_of_splits_goes_to_its_splits(tmp_path):
    folder = tmp_path / "dataset"
    folder.mkdir()
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "test"]}', encoding="utf-8")
    write_dataset(folder / "train", QUESTIONS)
    write_dataset(folder / "test", QUESTIONS[:4])
    prepared = prepare(spec(str(folder)), tmp_path / "cache")
    held = {(f"{row['question']}\n", f"{row['answer']}<|endoftext|>") for row in QUESTIONS[:4]}
    assert set(examples(prepared, "test")) == held
    assert held.isdisjoint(examples(prepared, "train"))
    assert prepared.metadata.dedup.in_test == 4


def test_compressed_rows_are_read_and_damaged_ones_are_named(tmp_path):
    import gzip

    plain = write_jsonl(tmp_path / "rows.jsonl", QUESTIONS)
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress((tmp_path / "rows.jsonl").read_bytes()))
    assert all_examples(prepare(spec(str(packed)), tmp_path / "cache")) == EXPECTED
    packed.write_bytes(packed.read_bytes()[:-20])
    (tmp_path / "bad.jsonl").write_text('{"question": "a", "answer": "b"}\n{"question": \n', encoding="utf-8")
    with pytest.raises(DataError) as caught:
        prepare(spec((plain, str(packed), str(tmp_path / "bad.jsonl"))), tmp_path / "cache")
    told = sorted(str(problem) for problem in caught.value.problems)
    assert len(told) == 2
    assert "bad.jsonl:2:" in told[0]
    assert "rows.jsonl.gz: is damaged" in told[1]
