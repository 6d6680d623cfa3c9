"""How much memory and time the preparation of a large text takes, and how soon a second study on it starts.

    python -m benchmarks.prepare_scale FOLDER --megabytes 1000 --form lines --dedup exact --tokenizer bpe

The text is made of sentences of the built-in corpora in random order with rare words among them, so that its
vocabulary grows as that of real text does: as .jsonl (`lines`), as one .txt file with marks between documents
(`marked`), or as a single document (`book`). Prints one JSON object. Memory is the largest sum of the resident sets
of all processes, shared pages counted in each, looked at ten times a second (Linux only). The project holds itself
to less than 2 GB for 1 GB of text. FOLDER keeps the text, so that a second measurement finds it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from mbo_search.data.built_in.corpora import open_corpus
from mbo_search.data.prepare import prepare
from mbo_search.data.progress import PrepareProgress
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec

__all__ = ["main"]

_SEED = 7
_DOCUMENT_CHARACTERS = 2000
_RARE_WORDS = 1_500_000
_RARE_EVERY = 10
_ENDINGS = {"lines": ".jsonl", "marked": ".txt", "book": ".txt"}
_LOOK_EVERY_SECONDS = 0.1


def main() -> None:
    """Make the text, prepare it twice in processes of their own, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--form", choices=sorted(_ENDINGS), default="lines")
    parser.add_argument("--dedup", choices=("none", "exact", "near"), default="exact")
    parser.add_argument("--tokenizer", choices=("bytes", "bpe"), default="bpe")
    parser.add_argument("--only-prepare", action="store_true", help="what its child processes do")
    arguments = parser.parse_args()
    text = arguments.folder / f"{arguments.form}-{arguments.megabytes}{_ENDINGS[arguments.form]}"
    if arguments.only_prepare:
        tell(prepared(text, arguments))
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if not text.is_file():
        write_text(text, arguments.form, arguments.megabytes * 10**6)
    runs = [measured([*sys.argv[1:], "--only-prepare"]) for _ in range(2)]
    tell({"bytes": text.stat().st_size, "first": runs[0], "second": runs[1]})


def tell(found: object) -> None:
    """Print as JSON."""
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")


def prepared(text: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """Prepare the text and time each phase."""
    spec = DataSpec(source=(str(text),), tokenizer=TokenizerSpec(kind=arguments.tokenizer), dedup=arguments.dedup)
    started = time.perf_counter()
    began: dict[str, float] = {}

    def note(step: PrepareProgress) -> None:
        began.setdefault(step.phase, time.perf_counter() - started)

    found = prepare(spec, arguments.folder / "cache", note)
    return {
        "began_seconds": {phase: round(seconds, 1) for phase, seconds in began.items()},
        "seconds": round(time.perf_counter() - started, 1),
        "tokens": {name: split.num_tokens for name, split in found.metadata.splits.items()},
        "documents": {name: split.num_documents for name, split in found.metadata.splits.items()},
        "fingerprint": found.metadata.fingerprint,
    }


def measured(arguments: list[str]) -> dict[str, object]:
    """Run this module with arguments; what it prints, and the most memory that it and its children had."""
    command = [sys.executable, "-m", "benchmarks.prepare_scale", *arguments]
    most = {"bytes": 0, "parent_bytes": 0, "processes": 0}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            look(process.pid, most)
            time.sleep(_LOOK_EVERY_SECONDS)
        assert process.stdout is not None
        found: dict[str, object] = json.loads(process.stdout.read())
    return found | {f"most_{name}": number for name, number in most.items()}


def look(root: int, most: dict[str, int]) -> None:
    """Note what the processes take now, if it is more than before."""
    try:
        resident = [resident_bytes(process) for process in family(root)]
    except OSError:  # one has just ended
        return
    now = {"bytes": sum(resident), "parent_bytes": resident[0], "processes": len(resident)}
    most.update({name: max(number, most[name]) for name, number in now.items()})


def family(process: int) -> Iterator[int]:
    """A process and all below it."""
    yield process
    for thread in Path(f"/proc/{process}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield from family(int(child))


def resident_bytes(process: int) -> int:
    """Memory of a process that lies in RAM."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def write_text(path: Path, form: str, num_bytes: int) -> None:
    """Write about so many bytes of text."""
    num_written = 0
    with path.open("w", encoding="utf-8") as file:
        for document in documents():
            if form == "lines":
                num_written += file.write(json.dumps({"text": document}, ensure_ascii=False) + "\n")
            else:
                num_written += file.write(document + ("\n<|endoftext|>\n" if form == "marked" else "\n\n"))
            if num_written >= num_bytes:
                return


def documents() -> Iterator[str]:
    """Documents without an end, of random sentences."""
    generator = random.Random(_SEED)
    pool = list(sentences())
    while True:
        parts: list[str] = []
        num_characters, wanted = 0, generator.randint(_DOCUMENT_CHARACTERS // 4, 2 * _DOCUMENT_CHARACTERS)
        while num_characters < wanted:
            parts.append(generator.choice(pool))
            if generator.randrange(_RARE_EVERY) == 0:
                parts.append(rare_word(generator.randrange(_RARE_WORDS)))
            num_characters += len(parts[-1])
        yield " ".join(parts)


def sentences() -> Iterator[str]:
    """The sentences of two built-in corpora."""
    for name in ("docs", "ref"):
        corpus = open_corpus(name)
        assert corpus is not None
        for document in corpus.read():
            yield from (line for line in document.text.split("\n") if len(line) > _DOCUMENT_CHARACTERS // 50)


def rare_word(number: int) -> str:
    """A word of letters for a number."""
    letters = ""
    while number:
        number, digit = divmod(number, 26)
        letters += chr(ord("a") + digit)
    return letters + "ish"


if __name__ == "__main__":
    main()
