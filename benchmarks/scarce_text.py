"""Make the texts of benchmarks/scarce-text.yaml, and answer its question from the run directories.

    python benchmarks/scarce_text.py texts build/scarce-text
    python benchmarks/scarce_text.py answer DIR [DIR ...] -o benchmarks/results/scarce-text.json

A cell takes hours, and its searches need not be made at once or on one machine: `--earlier FILE` adds those of an
earlier answer. The third search of a cell alone is the cell's command with
`--set study=scarce-docs-16-small-3 --set seed=2000 --set search.repeats=1`.

Computes what docs/scarce-text.md declared, and nothing else: one primary test, of the mean over the cells of the
gain of a search; each cell by itself beside it, and what each rung of the ladder adds.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mbo_search.data.built_in.corpora import open_corpus
from mbo_search.data.document import Document
from mbo_search.data.tokenizer import Tokenizer, load_tokenizer, train_bpe_tokenizer
from mbo_search.results.evidence.champions import champions
from mbo_search.results.ranking.repeats import repeat_folder
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.results.records.schedule_groups import ScheduleRuns, group_by_schedule
from mbo_search.results.statistics.paired import ALPHA, WORTHWHILE_PERCENT, nats_of_percent, percent_lower
from mbo_search.system.files import write_json

LANGUAGES = (
    *("bengali", "chinese", "dutch", "english", "french", "german", "hebrew", "hindi", "indonesian", "italian"),
    *("japanese", "korean", "marathi", "oriya", "persian", "portuguese", "russian", "spanish", "swedish", "tamil"),
    *("telugu", "thai", "turkish", "ukrainian", "urdu", "yoruba"),
)

CORPORA: Mapping[str, tuple[str, ...]] = {
    "docs": ("docs",),
    "prose": ("prose",),
    "dialogue": tuple(f"qa:{language}" for language in LANGUAGES),
}
"""Sources of each corpus: documentation, a book, and short dialogues in 26 languages."""

EPOCHS = (4, 16)
SCHEDULE_TOKENS = 1_024_000
VALIDATION_TOKENS = 72_000
TEST_TOKENS = 24_000
VOCAB_SIZE = 1024
SEARCHES = 3
STAGED = ("settings", "switch")
SINGLE = ("untuned", "tuned", "shape")
FEWEST_CELLS = 2


def main() -> None:
    """Make the texts, or answer."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    texts = commands.add_parser("texts", help="write the texts of all cells")
    texts.add_argument("folder", type=Path)
    answer = commands.add_parser("answer", help="compute the declared test")
    answer.add_argument("runs", metavar="DIR", nargs="*", type=Path, help="run directories")
    answer.add_argument("--earlier", metavar="FILE", type=Path, help="an earlier answer, whose searches count too")
    answer.add_argument("-o", "--out", type=Path, help="where to write the numbers as JSON")
    arguments = parser.parse_args()
    if arguments.command == "texts":
        for corpus in CORPORA:
            print(write_texts(corpus, arguments.folder))
        return
    searches = [] if arguments.earlier is None else earlier_searches(arguments.earlier)
    searches += [search for folder in arguments.runs for search in read_searches(folder)]
    cells = cells_of(searches)
    print("\n".join(lines(cells)))
    if arguments.out is not None:
        write_json(arguments.out, result(cells))


def write_texts(corpus: str, folder: Path) -> str:
    """Write the splits and the tokenizer of a corpus; the short text is the beginning of the long one.

    Documents are in the order of their hashes: validation first, then test, then training text.
    """
    documents = sorted(_documents(corpus), key=lambda document: hashlib.sha256(document.text.encode()).digest())
    tokenizer_folder = folder / corpus
    tokenizer_folder.mkdir(parents=True, exist_ok=True)
    train_bpe_tokenizer((document.text for document in documents), vocab_size=VOCAB_SIZE, folder=tokenizer_folder)
    tokenizer = load_tokenizer(tokenizer_folder)
    remaining = iter(documents)
    validation = _taken(remaining, tokenizer, VALIDATION_TOKENS)
    test = _taken(remaining, tokenizer, TEST_TOKENS)
    train: list[Document] = []
    num_tokens = 0
    for epochs in sorted(EPOCHS, reverse=True):
        train += _taken(remaining, tokenizer, SCHEDULE_TOKENS // epochs - num_tokens)
        num_tokens = sum(_num_tokens(tokenizer, document) for document in train)
        for split, chosen in (("train", train), ("validation", validation), ("test", test)):
            _write(folder / f"{corpus}-{epochs}" / f"{split}.jsonl", chosen)
    return f"{corpus}: {len(train)} documents, {num_tokens:,} training tokens; {len(validation)} for validation"


def _documents(corpus: str) -> Iterator[Document]:
    seen = set()
    for source in CORPORA[corpus]:
        opened = open_corpus(source)
        assert opened is not None, source
        for document in opened.read():
            if document.text not in seen:
                seen.add(document.text)
                yield document


def _taken(documents: Iterator[Document], tokenizer: Tokenizer, num_tokens: int) -> list[Document]:
    """Documents of at least so many tokens, or all that are left."""
    found: list[Document] = []
    while num_tokens > 0 and (document := next(documents, None)) is not None:
        found.append(document)
        num_tokens -= _num_tokens(tokenizer, document)
    return found


def _num_tokens(tokenizer: Tokenizer, document: Document) -> int:
    return len(tokenizer.encode(document.text)) + 1


def _write(path: Path, documents: Sequence[Document]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": document.text}) + "\n" for document in documents), encoding="utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search of a cell, with what its fresh seeds say.

    Attributes:
        name: Name of its study: that of the cell, from the second search on with its number.
        losses: Mean loss of each rung's champion over the fresh seeds, nats.
        staged: Rung of the better champion by the search among those that change settings.
        single: Rung of the better one among those with one strategy.
        tokens: Tokens trained.
    """

    name: str
    losses: Mapping[str, float]
    staged: str
    single: str
    tokens: int

    @property
    def gain(self) -> float:
        """Loss of the single strategy minus that of the staged schedule, nats."""
        return self.losses[self.single] - self.losses[self.staged]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A corpus, a number of epochs and a width, with its searches."""

    name: str
    searches: tuple[Search, ...]

    @property
    def gains(self) -> list[float]:
        """One a search, nats."""
        return [search.gain for search in self.searches]


def read_searches(folder: Path) -> list[Search]:
    """Read the searches of a run directory that have ended, confirmation included."""
    folders = (repeat_folder(folder, number) for number in range(1, SEARCHES + 1))
    runs = [RunDirectory.open(one) for one in folders if one.is_dir()]
    return [_search(run) for run in runs if run.status().get("finished")]


def earlier_searches(file: Path) -> list[Search]:
    """Read the searches of an earlier answer."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return [Search(**search) for cell in cells for search in cell["searches"]]


def cells_of(searches: Sequence[Search]) -> list[Cell]:
    """Put the searches of each cell together, by their numbers; one that is there twice counts once."""
    found: dict[str, dict[str, Search]] = {}
    for search in searches:
        found.setdefault(re.sub(r"-\d+$", "", search.name), {})[search.name] = search
    return [Cell(name=name, searches=tuple(own[key] for key in sorted(own))) for name, own in found.items()]


def _search(run: RunDirectory) -> Search:
    records = run.records()
    best = champions(group_by_schedule(records), "settings")
    by_rung = {str(rung): runs for rung, runs in best.by_rung.items() if runs.is_confirmed}
    order = sorted(by_rung, key=lambda rung: by_rung[rung].search_loss or math.inf)
    return Search(
        name=run.study().study,
        losses={rung: _fresh_loss(runs) for rung, runs in by_rung.items()},
        staged=next(rung for rung in order if rung in STAGED),
        single=next(rung for rung in order if rung in SINGLE),
        tokens=sum(record.cost.tokens for record in records),
    )


def _fresh_loss(runs: ScheduleRuns) -> float:
    losses = [one.judged_loss if runs.is_judged else one.val_loss for one in runs.fresh]
    return statistics.fmean(loss for loss in losses if loss is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryTest:
    """The one declared test. Cells are fixed, searches are drawn.

    Attributes:
        mean_nats: Mean over the cells of the mean gain of their searches.
        low_nats: Lower end of the 95 % interval.
        high_nats: Upper end.
        p_value: Two-sided.
        sd_nats: Standard deviation from search to search within a cell, pooled.
    """

    mean_nats: float
    low_nats: float
    high_nats: float
    p_value: float
    sd_nats: float

    @property
    def answer(self) -> str:
        """As the protocol says."""
        if self.high_nats < nats_of_percent(WORTHWHILE_PERCENT):
            return "no"
        return "yes" if self.low_nats > 0 else "undecided"


def primary_test(cells: Sequence[Cell]) -> PrimaryTest:
    """Student's t over the searches within cells, with their pooled variance."""
    from scipy.stats import t

    mean = statistics.fmean(statistics.fmean(cell.gains) for cell in cells)
    freedom = sum(len(cell.gains) - 1 for cell in cells)
    squares = sum((gain - statistics.fmean(cell.gains)) ** 2 for cell in cells for gain in cell.gains)
    sd = math.sqrt(squares / freedom)
    error = sd * math.sqrt(sum(1 / len(cell.gains) for cell in cells)) / len(cells)
    half_width = float(t.ppf(1 - ALPHA / 2, freedom)) * error
    p_value = 2 * float(t.sf(abs(mean) / error, freedom))
    return PrimaryTest(
        mean_nats=mean, low_nats=mean - half_width, high_nats=mean + half_width, p_value=p_value, sd_nats=sd
    )


def answer_of(cells: Sequence[Cell]) -> str:
    """As the protocol says; `interim` while a cell lacks searches or there are too few cells."""
    is_whole = len(cells) >= FEWEST_CELLS and all(len(cell.searches) == SEARCHES for cell in cells)
    return primary_test(cells).answer if is_whole else "interim"


def rung_gains(cells: Sequence[Cell]) -> dict[str, float]:
    """What each rung's champion gains over the one below, nats: means over searches, then over cells."""
    rungs = [rung for rung in (*SINGLE, *STAGED) if all(rung in one.losses for c in cells for one in c.searches)]
    return {
        f"{below} -> {above}": statistics.fmean(
            statistics.fmean(one.losses[below] - one.losses[above] for one in cell.searches) for cell in cells
        )
        for below, above in itertools.pairwise(rungs)
    }


def _test_line(cells: Sequence[Cell]) -> str:
    count = f"{len(cells)} cells, {sum(len(cell.searches) for cell in cells)} searches"
    if not _is_testable(cells):
        return f"interim: {count}, none of them two in a cell, so nothing is known about the luck of a search"
    test = primary_test(cells)
    return (
        f"{answer_of(cells)}: {test.mean_nats:+.4f} nats ({test.low_nats:+.4f} to {test.high_nats:+.4f}), "
        f"{percent_lower(test.mean_nats):+.2f} % perplexity, p = {test.p_value:.2g}; {count}, which vary by "
        f"{test.sd_nats:.4f} nats within a cell"
    )


def _is_testable(cells: Sequence[Cell]) -> bool:
    return any(len(cell.searches) > 1 for cell in cells)


def lines(cells: Sequence[Cell]) -> list[str]:
    """The answer for people."""
    found = [_test_line(cells)]
    found += [f"  {step}: {gain:+.4f} nats" for step, gain in rung_gains(cells).items()]
    for cell in cells:
        gains = ", ".join(f"{search.gain:+.4f} ({search.single} -> {search.staged})" for search in cell.searches)
        found.append(f"{cell.name}: mean {statistics.fmean(cell.gains):+.4f}; {gains}")
        for search in cell.searches:
            losses = ", ".join(f"{rung} {loss:.4f}" for rung, loss in search.losses.items())
            found.append(f"  {losses}; {search.tokens:,} tokens")
    return found


def result(cells: Sequence[Cell]) -> dict[str, object]:
    """Everything as plain values."""
    return {
        "answer": answer_of(cells),
        **(asdict(primary_test(cells)) if _is_testable(cells) else {}),
        "rung_gains_nats": rung_gains(cells),
        "cells": [
            {
                "name": cell.name,
                "gains_nats": cell.gains,
                "searches": [
                    {
                        "name": one.name,
                        "losses": dict(one.losses),
                        "staged": one.staged,
                        "single": one.single,
                        "tokens": one.tokens,
                    }
                    for one in cell.searches
                ],
            }
            for cell in cells
        ],
    }


if __name__ == "__main__":
    main()
