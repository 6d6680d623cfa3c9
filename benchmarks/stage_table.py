"""Build an exhaustive stage table: really train every schedule of a small space, every stage run once.

    python benchmarks/stage_table.py benchmarks/tables/four-by-six.yaml -o benchmarks/tables/four-by-six.json

A search method can be replayed on such a table in milliseconds and against the known optimum. The format is
described in benchmarks/README.md. An interrupted build goes on where it was.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from mbo_search.data.prepare import prepare
from mbo_search.study.catalogue.entries import StageClock
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.files.study_file import parse_study
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.reference_lr import reference_lr
from mbo_search.study.spec.schedule import LrShape, Regularizer, Schedule, Stage
from mbo_search.study.spec.segments import BudgetSteps, Segment, cut
from mbo_search.study.study import Study
from mbo_search.system.files import read_json, write_json
from mbo_search.train.setup.resolve import resolve_setup
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner
from mbo_search.trial.reports import Node

DIVERGED = 20.0
"""Loss noted for a stage run that diverged, and for everything behind it."""


@dataclass(frozen=True)
class Spec:
    """What a table is to hold: a study for data, model and budget, and the options of every stage.

    Attributes:
        name: The table's name.
        study: Data, model and budget.
        options: The strategies, the same for every stage.
        warmup: Warm-up of every stage, as a share of the whole budget.
        seeds: Seeds of initialisation and data order.
        probes: Cooldowns to try behind every stage but the last, as shares of the whole budget.
        average: The end of every stage but the last to average weights over, as a share of the whole budget, beside
            the average over the whole stage; 0: none. These stages are trained once more for it.
    """

    name: str
    study: Study
    options: list[dict[str, Any]]
    warmup: float
    seeds: list[int]
    probes: list[float]
    average: float

    @property
    def num_stages(self) -> int:
        """Stages of every schedule; each takes an equal share of the budget."""
        return round(1 / self.study.budget.grid)


def read_spec(path: Path) -> Spec:
    """Read a table's description; its `study` section is a study file without stages."""
    content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    study_text = path.read_text(encoding="utf-8").split("study_file: |\n", 1)[1]
    lines = itertools.takewhile(lambda line: line.startswith("  ") or not line.strip(), study_text.splitlines())
    study = parse_study("\n".join(line[2:] for line in lines), str(path))
    return Spec(
        name=content["name"],
        study=study,
        options=content["options"],
        warmup=content["warmup"],
        seeds=content["seeds"],
        probes=content.get("probes", []),
        average=content.get("average", 0.0),
    )


def stage_of(spec: Spec, position: int, option: int) -> Stage:
    """The stage that an option stands for at a position; a constant lr is annealed to zero in the last stage."""
    chosen = spec.options[option]
    name = chosen["optimizer"]
    is_last = position == spec.num_stages - 1
    shape = chosen.get("lr_shape", "constant")
    if is_last and shape == "constant" and not OPTIMIZERS[name].constant_lr_only:
        shape = "linear"
    return Stage(
        name=f"stage{position}",
        share=1 / spec.num_stages,
        optimizer=name,
        hparams={key: float(hparam.default) for key, hparam in OPTIMIZERS[name].hparams.items()},
        lr=reference_lr(spec.study, name) * chosen["lr_relative"],
        lr_shape=LrShape(kind=shape, hparams={k: h.default for k, h in LR_SHAPES[shape].hparams.items()}),
        warmup=spec.warmup,
        weight_decay=chosen.get("weight_decay", 0.1),
        regularizers=tuple(
            Regularizer(kind=kind, strength=strength) for kind, strength in chosen.get("regularizers", {}).items()
        ),
        hand_over=None if position == 0 else chosen.get("hand_over", "reset"),
    )


def segments_of(spec: Spec, setup: TrainSetup, path: tuple[int, ...]) -> tuple[Segment, ...]:
    """The segments of a schedule that begins with a path; one segment a stage."""
    padded = path + (path[-1],) * (spec.num_stages - len(path))
    stages = tuple(stage_of(spec, position, option) for position, option in enumerate(padded))
    return cut(Schedule(stages=stages), setup.budget())[: len(path)]


def probe_of(segment: Segment, share: float, budget: BudgetSteps) -> Segment:
    """A short linear cooldown to zero behind the end of a stage, with the stage's strategy and optimizer state.

    Args:
        segment: The last segment of the stage; the cooldown starts at the learning rate of its last step.
        share: Length as a share of the whole budget.
        budget: The budget in steps.
    """
    num_steps = round(share * budget.total_steps)
    shape = "constant" if OPTIMIZERS[segment.stage.optimizer].constant_lr_only else "linear"
    hparams = {name: hparam.default for name, hparam in LR_SHAPES[shape].hparams.items()}
    changes = {
        "name": "probe",
        "share": share,
        "lr": segment.lr(segment.last_step - 1),
        "lr_shape": LrShape(kind=shape, hparams=hparams),
        "warmup": 0.0,
    }
    return replace(
        segment,
        index=segment.index + 1,
        stage=segment.stage.model_copy(update=changes),
        first_step=segment.last_step,
        num_steps=num_steps,
        stage_first_step=segment.last_step,
        clock=StageClock(stage_steps=num_steps, warmup_steps=0, budget_steps=budget.total_steps),
        hand_over="continue",
        ends_stage=True,
    )


def halves_of(segment: Segment, share: float, budget: BudgetSteps) -> tuple[Segment, Segment]:
    """A stage in two pieces that train as the one does; the weights are averaged over the second.

    Args:
        segment: The only segment of the stage.
        share: Length of the second piece as a share of the whole budget.
        budget: The budget in steps.
    """
    num_steps = round(share * budget.total_steps)
    between = segment.last_step - num_steps
    first = replace(segment, index=2 * segment.index, num_steps=between - segment.first_step, ends_stage=False)
    second = replace(segment, index=first.index + 1, first_step=between, num_steps=num_steps, hand_over="continue")
    return first, second


class Builder:
    """Walks the tree of all schedules depth first, so that only one path of states is kept at a time."""

    def __init__(self, spec: Spec, setup: TrainSetup, target: Path) -> None:
        self.spec = spec
        self.setup = setup
        self.target = target
        self.partial = target.with_suffix(".partial.json")
        kept = read_json(self.partial) if self.partial.exists() else {}
        self.losses: dict[str, list[float]] = kept.get("losses", {})
        self.probes: dict[str, list[float]] = kept.get("probes", {})
        self.averages: dict[str, list[float]] = kept.get("averages", {})
        self.started = time.monotonic()
        self.num_runs = 0

    def keep(self, table: Mapping[str, Any]) -> None:
        """Take over what a finished table of the same description holds, which had no averages yet."""
        num_losses = 2 * len(self.spec.seeds)
        for key, row in table["loss"].items():
            self.losses[key] = row[:num_losses]
            if row[num_losses:]:
                self.probes[key] = row[num_losses:]

    def build(self, scratch: Path) -> None:
        """Train all that is missing, for every seed."""
        for number, seed in enumerate(self.spec.seeds):
            runner = TorchStageRunner(self.setup, scratch)
            for option in range(len(self.spec.options)):
                self._grow(runner, None, (option,), number, seed)
                if self.spec.average:
                    self._average(runner, None, (option,), number, seed)
                self._save()

    def _grow(
        self, runner: TorchStageRunner, node: Node | None, path: tuple[int, ...], number: int, seed: int
    ) -> None:
        if self._is_done(path, number):
            return
        segments = segments_of(self.spec, self.setup, path)
        folder, report = runner.run(node, segments[-1:], seed, lambda: False)
        self.num_runs += 1
        if report.metrics is None or folder is None:
            for below in self._below(path, self.spec.num_stages):
                probes = [DIVERGED] * len(self.spec.probes)
                self._note(below, [DIVERGED, DIVERGED], probes)
            return
        averaged = report.metrics.averaged_loss
        entry = [report.metrics.loss, report.metrics.loss if averaged is None else averaged]
        probes = []
        if len(path) < self.spec.num_stages:
            child = Node(key=segment_keys(self.setup.root_key(seed), segments)[-1], path=folder)
            probes = [self._probe(runner, child, segments[-1], share, seed) for share in self.spec.probes]
            for option in range(len(self.spec.options)):
                self._grow(runner, child, (*path, option), number, seed)
        shutil.rmtree(folder)
        self._note(path, entry, probes)

    def _probe(self, runner: TorchStageRunner, node: Node, segment: Segment, share: float, seed: int) -> float:
        """Loss behind a cooldown from a node."""
        cooldown = probe_of(segment, share, self.setup.budget())
        folder, report = runner.run(node, [cooldown], seed, lambda: False)
        if report.metrics is None or folder is None:
            return DIVERGED
        shutil.rmtree(folder)
        return report.metrics.loss

    def _average(
        self, runner: TorchStageRunner, node: Node | None, path: tuple[int, ...], number: int, seed: int
    ) -> None:
        """Train a stage and those behind it again, for the losses of weights averaged over their ends only."""
        found = self.averages.setdefault(",".join(map(str, path)), [])
        if len(found) > number:
            return
        segments = segments_of(self.spec, self.setup, path)
        halves = halves_of(segments[-1], self.spec.average, self.setup.budget())
        folder, report = runner.run(node, halves, seed, lambda: False)
        if report.metrics is None or folder is None:
            for below in self._below(path, self.spec.num_stages - 1):
                self.averages.setdefault(",".join(map(str, below)), []).append(DIVERGED)
            return
        averaged = report.metrics.averaged_loss
        found.append(round(report.metrics.loss if averaged is None else averaged, 5))
        if len(path) < self.spec.num_stages - 1:
            child = Node(key=segment_keys(self.setup.root_key(seed), segments)[-1], path=folder)
            for option in range(len(self.spec.options)):
                self._average(runner, child, (*path, option), number, seed)
        shutil.rmtree(folder)

    def _note(self, path: tuple[int, ...], entry: list[float], probes: list[float]) -> None:
        key = ",".join(map(str, path))
        self.losses.setdefault(key, []).extend(round(value, 5) for value in entry)
        if len(path) < self.spec.num_stages and self.spec.probes:
            self.probes.setdefault(key, []).extend(round(value, 5) for value in probes)

    def _is_done(self, path: tuple[int, ...], number: int) -> bool:
        return len(self.losses.get(",".join(map(str, path)), [])) > 2 * number

    def _below(self, path: tuple[int, ...], num_stages: int) -> Iterator[tuple[int, ...]]:
        for length in range(num_stages - len(path) + 1):
            for rest in itertools.product(range(len(self.spec.options)), repeat=length):
                yield path + rest

    def _save(self) -> None:
        write_json(self.partial, {"losses": self.losses, "probes": self.probes, "averages": self.averages})
        seconds = time.monotonic() - self.started
        print(f"{self.spec.name}: {len(self.losses)} nodes, {self.num_runs} runs, {seconds:.0f} s", flush=True)

    def write(self) -> None:
        """Write the finished table."""
        spec, budget = self.spec, self.setup.budget()
        averages = [f"averaged/{spec.average:g}"] if spec.average else []
        fields = [
            f"{field}/{seed}" if number else field
            for group in (["loss", "averaged_loss"], [f"probe/{share:g}" for share in spec.probes], averages)
            for number, seed in enumerate(spec.seeds)
            for field in group
        ]
        table = {
            "schema": "mbo-search/stage-table/1",
            "name": spec.name,
            "stages": spec.num_stages,
            "tokens_per_stage": budget.segment_tokens,
            "options": [
                option | {"lr": reference_lr(spec.study, option["optimizer"]) * option["lr_relative"]}
                for option in spec.options
            ],
            "seeds": spec.seeds,
            "probes": spec.probes,
            "average": spec.average,
            "fields": fields,
            "model": spec.study.model.model_dump(mode="json"),
            "data": list(spec.study.data.source),
            "numerics": self.setup.numerics,
            "loss": {
                key: row + self.probes.get(key, []) + self.averages.get(key, []) for key, row in self.losses.items()
            },
        }
        write_json(self.target, table)
        self.target.write_text(_compact(self.target.read_text(encoding="utf-8")), encoding="utf-8")
        self.partial.unlink(missing_ok=True)


def _compact(text: str) -> str:
    """One line a node instead of one a number."""
    import json

    content = json.loads(text)
    losses = content.pop("loss")
    head = json.dumps(content, indent=1, sort_keys=True)[:-2]
    rows = ",\n".join(f'"{key}":{json.dumps(value, separators=(",", ":"))}' for key, value in losses.items())
    return f'{head},\n "loss": {{\n{rows}\n}}}}\n'


def main() -> None:
    """Build one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--add-averages", action="store_true", help="to the finished table, which had none")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "mbo-search" / "data")
    arguments = parser.parse_args()
    spec = read_spec(arguments.spec)
    arguments.cache.mkdir(parents=True, exist_ok=True)
    setup = resolve_setup(spec.study, prepare(spec.study.data, arguments.cache), 1)
    builder = Builder(spec, setup, arguments.out)
    if arguments.add_averages:
        builder.keep(read_json(arguments.out))
    with tempfile.TemporaryDirectory() as scratch:
        builder.build(Path(scratch))
    builder.write()


if __name__ == "__main__":
    main()
