"""Compare a mean of the last weights with a decay of the learning rate, on one trunk and at equal tokens.

    python benchmarks/merge_vs_decay.py --work build/merge -o benchmarks/results/merge-vs-decay.json

One trunk at a constant rate for each seed. From three places on it the rest of the budget is trained twice: with a
learning rate that falls to zero, and at the trunk's rate with a mean of all weights that imitates that fall
(arXiv:2507.17634), along a straight line and along 1 - sqrt. Both sides of a pair see the same text in the same
order from the same state. Losses are kept in the folder --work, so that an interrupted run goes on where it was;
`--most N` trains at most N schedules in a call.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mbo_search.data.prepare import prepare
from mbo_search.results.statistics.paired import PairedTest, paired_test
from mbo_search.store.local import StageStore
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.files.study_file import parse_study
from mbo_search.study.spec.reference_lr import reference_lr
from mbo_search.study.spec.schedule import LrShape, Schedule, Stage
from mbo_search.study.study import Study
from mbo_search.system.files import read_json, write_json
from mbo_search.train.execution.execute import execute
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.setup.resolve import resolve_setup
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner

STUDY = """
study: merge-vs-decay
data: {source: [docs, ref], tokenizer: {kind: bpe, vocab_size: 1024}}
model: {layers: 2, width: 96, heads: 2, context: 64}
budget: {tokens: 122880, grid: 0.1}
train: {batch_tokens: 512, threads: 1, precision: float32}
evaluation: {tokens: 32k, points: 1}
stages:
  - {name: trunk, share: 0.5, optimizer: [adamw, muon], lr: {relative: 1.0}, lr_shape: constant, warmup: 0.05}
  - {name: end, share: rest, lr_shape: linear, optimizer: [adamw, muon], lr: {relative: 1.0}}
"""

SPANS = (0.1, 0.3, 0.5)
LINES = ("linear", "sqrt")
SEEDS = (0, 1, 2, 3, 4, 5)
TRUNKS = (("adamw", 1.0), ("adamw", 2.0), ("muon", 1.0))
"""Optimizer and learning rate relative to its reference; the first one is the question, the others go beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A schedule to train.

    Attributes:
        optimizer: Of the trunk and of its end.
        relative_lr: Peak learning rate over the optimizer's reference.
        end: `constant`, `decayed` or `merged`.
        span: Share of the budget that the end takes.
        line: Of the decay, real or imitated.
    """

    optimizer: str
    relative_lr: float
    end: str
    span: float = SPANS[-1]
    line: str = ""

    def key(self, seed: int) -> str:
        """Name of its loss."""
        return f"{self.optimizer} {self.relative_lr:g} {self.end} {self.span:g} {self.line} seed {seed}"

    @property
    def last_shape(self) -> LrShape:
        """Shape of the second stage."""
        if self.end == "merged":
            return LrShape(kind="average", hparams={"span": self.span, "like": self.line})
        if self.end == "decayed":
            return LrShape(kind="wsd", hparams={"decay": 1.0, "kind": self.line, "floor": 0.0})
        return LrShape(kind="constant")


def cells_of(optimizer: str, relative_lr: float) -> Iterator[Cell]:
    """The ends of a trunk: none, and each decay with the mean that imitates it."""
    yield Cell(optimizer=optimizer, relative_lr=relative_lr, end="constant")
    for span, line, end in itertools.product(SPANS, LINES, ("decayed", "merged")):
        yield Cell(optimizer=optimizer, relative_lr=relative_lr, end=end, span=span, line=line)


def schedule_of(cell: Cell, study: Study) -> Schedule:
    """A trunk and its end."""
    info = OPTIMIZERS[cell.optimizer]
    trunk = Stage(
        name="trunk",
        share=round(1 - cell.span, 6),
        optimizer=cell.optimizer,
        hparams={name: float(hparam.default) for name, hparam in info.hparams.items()},
        lr=reference_lr(study, cell.optimizer) * cell.relative_lr,
        warmup=0.05,
    )
    changes = {"name": "end", "share": cell.span, "warmup": 0.0, "hand_over": "carry", "lr_shape": cell.last_shape}
    return Schedule(stages=(trunk, trunk.model_copy(update=changes)))


def train(study: Study, setup: TrainSetup, work: Path, most: int, num_trunks: int) -> dict[str, float]:
    """Train what is missing, at most so many schedules; the losses by key."""
    file = work / "losses.json"
    losses: dict[str, float] = read_json(file) if file.exists() else {}
    store = StageStore(work / "stages", None, setup.windows_fingerprint)
    runner = TorchStageRunner(setup, work / "scratch")
    jobs = [(seed, cell) for trunk in TRUNKS[:num_trunks] for seed in SEEDS for cell in cells_of(*trunk)]
    for seed, cell in [job for job in jobs if job[1].key(job[0]) not in losses][:most]:
        outcome = execute(
            schedule_path(schedule_of(cell, study), setup, seed),
            runner,
            store,
            stop=lambda: False,
            on_boundary=lambda event: False,
            log=lambda line: None,
        )
        losses[cell.key(seed)] = outcome.boundaries[-1].loss
        write_json(file, losses)
        print(f"{cell.key(seed)}: {losses[cell.key(seed)]:.4f}", flush=True)
    return losses


def test_of(losses: Mapping[str, float], one: Cell, other: Cell) -> PairedTest | None:
    """Loss of `other` minus loss of `one`, seed by seed; None without two pairs."""
    keys = [(one.key(seed), other.key(seed)) for seed in SEEDS]
    differences = [losses[theirs] - losses[mine] for mine, theirs in keys if mine in losses and theirs in losses]
    return paired_test(differences) if len(differences) > 1 else None


def rows_of(losses: Mapping[str, float], trunk: tuple[str, float]) -> Iterator[dict[str, object]]:
    """Each mean against the decay that it imitates, and both against the trunk's own end."""
    cells = {(cell.end, cell.span, cell.line): cell for cell in cells_of(*trunk)}
    constant = cells["constant", SPANS[-1], ""]
    for span, line in itertools.product(SPANS, LINES):
        merged, decayed = cells["merged", span, line], cells["decayed", span, line]
        tests = {
            "merged_over_decayed": test_of(losses, merged, decayed),
            "merged_over_constant": test_of(losses, merged, constant),
            "decayed_over_constant": test_of(losses, decayed, constant),
        }
        if all(tests.values()):
            found = {name: test.model_dump(mode="json") for name, test in tests.items() if test is not None}
            yield {"optimizer": trunk[0], "relative_lr": trunk[1], "span": span, "line": line, **found}


def best_against_best(losses: Mapping[str, float], trunk: tuple[str, float]) -> dict[str, object] | None:
    """The best mean of a trunk against its best decay, each chosen by the mean over all seeds."""
    best = {end: _best(losses, trunk, end) for end in ("merged", "decayed")}
    if best["merged"] is None or best["decayed"] is None:
        return None
    test = test_of(losses, best["merged"], best["decayed"])
    assert test is not None
    chosen = {end: f"{cell.line} {cell.span:g}" for end, cell in best.items() if cell is not None}
    return {"optimizer": trunk[0], "relative_lr": trunk[1], **chosen, "test": test.model_dump(mode="json")}


def _best(losses: Mapping[str, float], trunk: tuple[str, float], end: str) -> Cell | None:
    cells = [cell for cell in cells_of(*trunk) if cell.end == end]
    whole = [cell for cell in cells if all(cell.key(seed) in losses for seed in SEEDS)]
    return min(whole, key=lambda cell: sum(losses[cell.key(seed)] for seed in SEEDS), default=None)


def lines_of(rows: list[dict[str, object]]) -> list[str]:
    """The rows for people, in nats; positive means that the mean of weights is better."""
    found = []
    for row in rows:
        tests = [PairedTest.model_validate(row[name]) for name in row if name.endswith(("_decayed", "_constant"))]
        numbers = "; ".join(f"{t.mean_nats:+.4f} ({t.low_nats:+.4f} to {t.high_nats:+.4f})" for t in tests)
        found.append(f"{row['optimizer']} x{row['relative_lr']} {row['line']} {row['span']}: {numbers}")
    return found


def main() -> None:
    """Train what is missing, print the differences and write them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--work", type=Path, default=Path("build/merge"), help="folder of states and losses")
    parser.add_argument("--most", type=int, default=10_000, help="most schedules that are trained in this call")
    parser.add_argument("--trunks", type=int, default=len(TRUNKS), help="trunks out of the list, the first ones")
    parser.add_argument("-o", dest="json", type=Path, help="where to write the numbers as JSON")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    study = parse_study(STUDY, "merge-vs-decay")
    setup = resolve_setup(study, prepare(study.data, arguments.work / "cache"), 1)
    losses = train(study, setup, arguments.work, arguments.most, arguments.trunks)
    rows = [row for trunk in TRUNKS for row in rows_of(losses, trunk)]
    print("merged over decayed; merged over constant; decayed over constant (nats, 95 % intervals)")
    print("\n".join(lines_of(rows)))
    bests = [best for trunk in TRUNKS if (best := best_against_best(losses, trunk)) is not None]
    if arguments.json is not None:
        write_json(arguments.json, {"rows": rows, "best_against_best": bests, "losses": losses})


if __name__ == "__main__":
    main()
