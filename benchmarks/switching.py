"""Answer whether changing the optimizer pays, from the run directories of studies/switching.yaml.

    python benchmarks/switching.py DIR DIR DIR DIR -o switching.json

Computes what docs/switching.md declared, and nothing else: one primary test over the fresh seeds, of the mean over
all cells; each cell by itself beside it, adjusted by Holm's method. Prints the answer and writes the numbers as
JSON.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mbo_search.results.evidence.champions import champions
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.results.records.schedule_groups import ScheduleRuns, group_by_schedule
from mbo_search.results.statistics.paired import (
    WORTHWHILE_PERCENT,
    Answer,
    PairedTest,
    holm,
    nats_of_percent,
    paired_test,
    percent_lower,
)
from mbo_search.system.files import write_json

SEEDS = tuple(range(1, 9))
"""The fresh seeds of the protocol."""

FEWEST_CELLS = 2
"""With fewer cells the protocol gives no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run directory: what was searched, and the two schedules that are compared.

    Attributes:
        name: Name of its study.
        switch: Best schedule that changes its optimizer.
        single: Best schedule that keeps one, whatever else changes.
        staged: Best schedule of the question's own search, whether it changes its optimizer or not.
        tokens: Tokens that each search trained.
    """

    name: str
    switch: ScheduleRuns
    single: ScheduleRuns
    staged: ScheduleRuns
    tokens: dict[str, int]

    @property
    def differences(self) -> dict[int, float]:
        """Loss of single minus loss of switch, nats, by fresh seed that both completed."""
        theirs = _losses(self.single)
        return {seed: theirs[seed] - loss for seed, loss in _losses(self.switch).items() if seed in theirs}

    @property
    def is_whole(self) -> bool:
        """Whether both completed on every fresh seed of the protocol."""
        return all(seed in self.differences for seed in SEEDS)


def main() -> None:
    """Read the run directories, compute the declared tests, print and write them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("runs", metavar="DIR", nargs="+", type=Path, help="run directories, one a cell")
    parser.add_argument("-o", "--out", type=Path, help="where to write the numbers as JSON")
    arguments = parser.parse_args()
    cells = [read_cell(RunDirectory.open(path)) for path in arguments.runs]
    found = result(cells)
    print("\n".join(lines(cells)))
    if arguments.out is not None:
        write_json(arguments.out, found)


def read_cell(run: RunDirectory) -> Cell:
    """Pick the two schedules of a cell by the loss of its search alone."""
    records = run.records()
    groups = group_by_schedule(records)
    best = champions(groups, "switch")
    assert best.challenger is not None, "no schedule that changes its optimizer has completed"
    assert best.strongest is not None, "no schedule that keeps its optimizer has completed"
    arms = sorted({record.arm for record in records})
    return Cell(
        name=run.study().study,
        switch=best.challenger,
        single=best.strongest,
        staged=_best(groups, lambda record: record.arm == "staged"),
        tokens={arm: _tokens(records, arm) for arm in arms},
    )


def primary_test(cells: Sequence[Cell]) -> PairedTest:
    """The one declared test: over the seeds, the mean over the cells of the difference."""
    seeds = [seed for seed in SEEDS if all(seed in cell.differences for cell in cells)]
    return paired_test([math.fsum(cell.differences[seed] for cell in cells) / len(cells) for seed in seeds])


def answer_of(cells: Sequence[Cell]) -> Answer:
    """What the primary test decides; never anything if a schedule did not complete on a fresh seed."""
    is_whole = len(cells) >= FEWEST_CELLS and all(cell.is_whole for cell in cells)
    return _decide(primary_test(cells)) if is_whole else "undecided"


def _decide(test: PairedTest) -> Answer:
    """As the protocol says: a t test that is looked at once."""
    if test.p_value is None or test.high_nats is None:
        return "undecided"
    if test.high_nats < nats_of_percent(WORTHWHILE_PERCENT):
        return "no"
    return "yes" if test.p_value < test.alpha and test.mean_nats > 0 else "undecided"


def result(cells: Sequence[Cell]) -> dict[str, object]:
    """Everything as plain values."""
    tests = [paired_test(list(cell.differences.values())) for cell in cells]
    adjusted = holm([1.0 if test.p_value is None else test.p_value for test in tests])
    return {
        "answer": answer_of(cells),
        "primary": primary_test(cells).model_dump(mode="json"),
        "cells": [
            {
                "name": cell.name,
                "difference": test.model_dump(mode="json"),
                "adjusted_p": p_value,
                "executed_tokens": cell.tokens,
                "is_staged_champion_switching": cell.staged is cell.switch,
                "schedules": {name: _described(runs) for name, runs in _schedules(cell)},
            }
            for cell, test, p_value in zip(cells, tests, adjusted, strict=True)
        ],
    }


def lines(cells: Sequence[Cell]) -> list[str]:
    """The same for people."""
    test = primary_test(cells)
    found = [f"{answer_of(cells)}: {_text(test)}, {len(cells)} cells, {test.num_seeds} seeds"]
    if test.permutation_p is not None:
        found.append(f"exact permutation p = {test.permutation_p:.2g}, smallest possible {test.smallest_p:.2g}")
    tests = [paired_test(list(cell.differences.values())) for cell in cells]
    adjusted = holm([1.0 if test.p_value is None else test.p_value for test in tests])
    for cell, of_cell, p_value in zip(cells, tests, adjusted, strict=True):
        found += ["", f"{cell.name}: {_text(of_cell)}, adjusted p = {p_value:.2g}"]
        found += [f"  {name}: {_row(runs)}" for name, runs in _schedules(cell)]
        found.append("  tokens searched: " + ", ".join(f"{arm} {count:,}" for arm, count in cell.tokens.items()))
    return found


def _best(groups: Sequence[ScheduleRuns], admit: Callable[[TrialRecord], bool]) -> ScheduleRuns:
    """The schedule with the lowest search loss among those with a complete search trial that is admitted."""
    admitted = [
        (runs.search_loss, runs.head.trial, runs)
        for runs in groups
        if runs.search_loss is not None
        and any(record.state == "complete" and admit(record) for record in runs.records)
    ]
    return min(admitted, key=lambda found: found[:2])[2]


def _losses(runs: ScheduleRuns) -> dict[int, float]:
    """By fresh seed; on the documents that no search has looked at, where they were judged on such."""
    losses = {one.seed: one.judged_loss if runs.is_judged else one.val_loss for one in runs.fresh}
    return {seed: loss for seed, loss in losses.items() if loss is not None}


def _tokens(records: Sequence[TrialRecord], arm: str) -> int:
    return sum(record.cost.tokens for record in records if record.arm == arm)


def _schedules(cell: Cell) -> list[tuple[str, ScheduleRuns]]:
    named = [("switch", cell.switch), ("single", cell.single)]
    return named if cell.staged is cell.switch else [*named, ("staged", cell.staged)]


def _described(runs: ScheduleRuns) -> dict[str, object]:
    return {
        "trial": runs.head.trial,
        "arm": runs.arm,
        "search_loss": runs.search_loss,
        "fresh_losses": {str(seed): loss for seed, loss in _losses(runs).items()},
        "schedule": runs.head.schedule.model_dump(mode="json"),
    }


def _row(runs: ScheduleRuns) -> str:
    fresh = list(_losses(runs).values())
    mean = f"{math.fsum(fresh) / len(fresh):.4f}" if fresh else "-"
    stages = " > ".join(
        f"{stage.optimizer} {stage.lr:g} {stage.lr_shape.kind} {stage.share:g} {stage.hand_over or ''}".rstrip()
        for stage in runs.head.schedule.stages
    )
    return f"trial {runs.head.trial}, search {runs.search_loss:.4f}, fresh {mean}: {stages}"


def _text(test: PairedTest) -> str:
    if test.low_nats is None or test.high_nats is None or test.p_value is None:
        return f"{test.mean_nats:+.4f} nats on one seed"
    ends = f"{test.low_nats:+.4f} to {test.high_nats:+.4f}"
    percent = percent_lower(test.mean_nats)
    return f"{test.mean_nats:+.4f} nats ({ends}), {percent:+.2f} % perplexity, p = {test.p_value:.2g}"


if __name__ == "__main__":
    main()
