"""Proves that corpora of pairs hold what they claim, and that nothing leaks between splits."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from pathlib import Path

import pytest

from mbo_search.data.built_in.corpora import open_corpus
from mbo_search.data.built_in.modules import docstrings_by_module
from mbo_search.data.built_in.summaries import summaries
from mbo_search.data.prepare import prepare
from mbo_search.study.catalogue.lookup import CORPORA
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec

PAIRS = sorted(name for name, info in CORPORA.items() if info.task is not None)
MODULE = '''"""About shapes."""

class Square:
    """A square, which has four equal sides."""

    def area(self):
        """
        Give its area.

        It is never negative.
        """
        # The side is known.
        return self.side ** 2

    def nothing(self):
        """Nothing besides this line."""

    def long(self):
        """Is too long for a small model."""
        return 0  # {padding}

    async def grow(self): return "not on lines of its own"

def undocumented(x):
    return x
'''


@pytest.fixture
def library(tmp_path) -> tuple[Path, list[Path]]:
    file = tmp_path / "shapes.py"
    file.write_text(MODULE.replace("{padding}", "x" * 1500), encoding="utf-8")
    return tmp_path, [file]


def test_summaries_are_functions_without_their_docstrings(library):
    (row,) = summaries(*library)
    assert row.values == {
        "function": "def area(self):\n    # The side is known.\n    return self.side ** 2",
        "summary": "Give its area.",
        "name": "shapes.Square.area",
        "module": "shapes",
    }


def test_only_modules_with_many_docstrings_are_labels(tmp_path):
    functions = "\n".join(
        f'def f{number}():\n    """Return the number {number} of the row."""' for number in range(99)
    )
    many = '"""Numbers in words, and more of them.\n' + "a line of its documentation\n" * 40 + '"""\n'
    files = [tmp_path / name for name in ("many.py", "few.py")]
    files[0].write_text(many + functions, encoding="utf-8")
    files[1].write_text(functions.replace("number", "digit"), encoding="utf-8")
    rows = list(docstrings_by_module(tmp_path, files))
    assert Counter(row.values["module"] for row in rows) == {"many": 100}
    assert 370 < len(rows[0].values["docstring"]) <= 400
    assert rows[0].values["docstring"].endswith("documentation")


def test_equal_docstrings_are_one_row(tmp_path):
    files = [tmp_path / "a.py", tmp_path / "b.py"]
    text = "\n".join(f'def f{number}():\n    """Return the number {number} of the row."""' for number in range(100))
    for file in files:
        file.write_text(text, encoding="utf-8")
    assert {row.values["module"] for row in docstrings_by_module(tmp_path, files)} == {"a"}


@pytest.fixture(scope="module")
def translated(tmp_path_factory):
    pytest.importorskip("babel")
    spec = DataSpec(source=("translate",), tokenizer=TokenizerSpec(kind="bytes"), validation_share=0.1)
    return prepare(spec, tmp_path_factory.mktemp("cache"))


def test_names_are_translated_into_both_languages():
    pytest.importorskip("babel")
    rows = [row.values for row in open_corpus("translate").rows()]
    france = [row for row in rows if row["english"] == "France"]
    assert [(row["language"], row["translation"], row["kind"]) for row in france] == [
        ("Chinese", "\u6cd5\u56fd", "territory"),
        ("French", "France", "territory"),
    ]
    assert Counter(row["language"] for row in rows) == dict.fromkeys(("Chinese", "French"), len(rows) // 2)
    assert len(rows) > 2000


def test_no_name_is_in_two_splits(translated):
    names = []
    for split in ("train", "validation", "test"):
        tokens, ends = translated.tokens(split), translated.ends(split).tolist()
        texts = [
            translated.tokenizer().decode(tokens[a:b].tolist()) for a, b in zip([0, *ends], ends, strict=False)
        ]
        names.append({text.rpartition(") in ")[0].rpartition(" (")[0] for text in texts})
        assert all(") in Chinese:\n" in text or ") in French:\n" in text for text in texts)
    assert sum(map(len, names)) == len(set().union(*names)) > 1000


@pytest.mark.parametrize("name", PAIRS)
def test_corpora_of_pairs_bring_a_task_on_their_own_columns(name):
    spec = DataSpec.model_validate({"source": name})
    assert spec.task is not None
    assert set(spec.task.columns) <= set(CORPORA[name].columns)
    assert spec.min_characters == 1
    assert DataSpec.model_validate({"source": [name, name], "min_characters": 5}).task == spec.task
    assert DataSpec.model_validate({"source": [name, "docs"]}).task is None
    own = {"prompt": CORPORA[name].columns[0], "completion": CORPORA[name].columns[1]}
    assert DataSpec.model_validate({"source": name, "task": own}).task.prompt == own["prompt"]


def test_questions_come_with_each_of_their_answers():
    if (
        importlib.util.find_spec("chatterbot_corpus") is None
    ):  # importing it would tell other tests that it is there
        pytest.skip("the package chatterbot-corpus is not installed")
    rows = [row.values for row in open_corpus("qa").rows()]
    assert {"question": "What is AI?", "topic": "ai"}.items() <= rows[0].items()
    pairs = Counter((row["question"], row["answer"]) for row in rows)
    assert len(pairs) > 0.99 * len(rows) > 1000
    assert json.dumps(rows[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_corpora_are_as_large_as_the_catalogue_says_and_have_its_columns(name):
    rows = list(open_corpus(name).rows())
    num_bytes = sum(len(str(value).encode()) for row in rows for value in row.values.values())
    assert 0.8 < num_bytes / CORPORA[name].num_bytes < 1.2
    assert {tuple(row.values) for row in rows} == {CORPORA[name].columns}
    assert list(open_corpus(name).read()) == []
