"""What a large search costs its driver: thousands of simulated trials, everything else as in a real search.

    python -m benchmarks.scale --trials 2000 --slots 16

Nothing is trained: a trial takes simulated time, and its losses follow a smooth landscape. All the rest is
real: the controller, the searcher's model, the Optuna study in SQLite, tasks and records on disk, the live
table's snapshot, the ranking. Latencies are printed for each stretch of the search, so that growth shows;
processor time beside wall-clock time, for on a machine that does other things only the former says something.

Bounds that the project holds itself to: ask in 150 ms (median) and 500 ms (99th percentile) at 1,000 finished
trials, growth no worse than linear.
"""

from __future__ import annotations

import argparse
import cProfile
import functools
import heapq
import json
import math
import pstats
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeVar

from mbo_search.engine.control.controller import SearchController
from mbo_search.engine.control.dependencies import SearchConfig, SearchDependencies
from mbo_search.engine.control.progress import progress_of
from mbo_search.engine.control.stopping import StoppingCriteria
from mbo_search.engine.housekeeping import RunRecorder
from mbo_search.engine.searcher.optuna_searcher import OptunaSearcher, open_study
from mbo_search.engine.searcher.searches import space_of_search
from mbo_search.engine.tasks import TrialTask, nodes_of
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.spec.sections.searching import SearchSpec
from mbo_search.study.study import Study
from mbo_search.testing.runs import make_setup, make_study
from mbo_search.trial.outcome import Boundary, CurveRow, TrialOutcome

__all__ = ["main"]

GAINS = {"adamw": 0.0, "lion": 0.01, "muon": 0.05}
BEST_LR = 0.004
ResultT = TypeVar("ResultT")


@dataclass
class Clock:
    """Milliseconds of wall-clock and processor time of each call of one kind."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def measure(self, action: Callable[[], ResultT]) -> ResultT:
        """Run and note."""
        wall, processor = time.perf_counter(), time.process_time()
        try:
            return action()
        finally:
            self.wall.append(1e3 * (time.perf_counter() - wall))
            self.processor.append(1e3 * (time.process_time() - processor))

    def summary(self) -> dict[str, float]:
        """Median and 99th percentile, rounded, and a fresh start."""
        found = {
            f"{kind}_{name}_ms": round(value, 1)
            for kind, values in (("wall", self.wall), ("processor", self.processor))
            for name, value in (("median", median(values)), ("p99", percentile(values, 0.99)))
        }
        self.wall, self.processor = [], []
        return found


def percentile(values: list[float], share: float) -> float:
    """The smallest value that so many are at or below."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass
class World:
    """Simulated time and a stage store of names."""

    now: float = 1_795_000_000.0
    nodes: set[str] = field(default_factory=set)

    def execute(self, task: TrialTask) -> TrialOutcome:
        """What training the task would have given."""
        ends = [node for node in task.nodes if node.tokens in stage_ends(task)]
        produced = [node.key for node in task.nodes if node.key not in self.nodes]
        cached = max((node.tokens for node in task.nodes if node.key in self.nodes), default=0)
        losses = stage_losses(task)
        boundaries = tuple(
            Boundary(
                stage=stage,
                step=node.tokens,
                tokens=node.tokens,
                loss=losses[stage],
                averaged_loss=losses[stage] - 0.01,
                accuracy=math.exp(-losses[stage]),
                bits_per_byte=losses[stage] / 2,
                node=node.key,
                shared=node.key in self.nodes,
            )
            for stage, node in enumerate(ends)
        )
        return TrialOutcome(
            state="complete" if task.stop_after is None else "pruned",
            reason=None if task.stop_after is None else "probe",
            boundaries=boundaries,
            curve=tuple(curve_row(boundary) for boundary in boundaries),
            produced=tuple(produced),
            requested_tokens=task.tokens,
            executed_tokens=task.tokens - cached,
            train_seconds=1.0,
        )


def stage_ends(task: TrialTask) -> set[int]:
    """Tokens behind each stage of a task."""
    total = task.nodes[-1].tokens
    if task.stop_after is not None:
        total = round(total / sum(stage.share for stage in task.schedule.stages[: task.stop_after + 1]))
    shares = [stage.share for stage in task.schedule.stages]
    return {round(sum(shares[: index + 1]) * total) for index in range(len(shares))}


def stage_losses(task: TrialTask) -> list[float]:
    """Loss behind each stage: it falls by the stage's share of what its choices are worth."""
    loss, found = 6.0, []
    for stage in task.schedule.stages:
        off_peak = 0.02 * math.log2(stage.lr / BEST_LR) ** 2
        loss -= stage.share * (2.5 + GAINS.get(stage.optimizer, 0.0) - off_peak)
        found.append(loss)
    return found


def curve_row(boundary: Boundary) -> CurveRow:
    """A point of the learning curve at a boundary."""
    loss = boundary.loss
    return CurveRow(
        step=boundary.step,
        tokens=boundary.tokens,
        stage=boundary.stage,
        lr=0.001,
        train_loss=loss,
        loss=loss,
        grad_norm=1.0,
    )


def main() -> None:
    """Search, and print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--stages", type=int, default=4)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--every", type=int, default=250, help="trials between two lines")
    parser.add_argument("--searcher", default="tree")
    parser.add_argument("--profile", action="store_true", help="print the functions that took longest")
    arguments = parser.parse_args()
    profile = cProfile.Profile()
    with tempfile.TemporaryDirectory() as folder:
        search = functools.partial(run, Path(folder) / "run", arguments)
        lines = profile.runcall(search) if arguments.profile else search()
    json.dump({"schema": "mbo-search/scale/1", **vars(arguments), "lines": lines}, sys.stdout, indent=1)
    print()
    if arguments.profile:
        pstats.Stats(profile, stream=sys.stdout).sort_stats("cumulative").print_stats(60)


def run(path: Path, arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Search a four-stage space of three optimizers, continuous learning rates, shapes, hand-over and dropout."""
    study = make_study(arguments.stages, "scale").model_copy(
        update={"search": SearchSpec(searcher=arguments.searcher, trials=arguments.trials), "baselines": ()}
    )
    directory = RunDirectory.create(path, study, make_setup(study))
    world = World()
    controller = make_controller(study, directory, world, arguments.slots)
    ask, tell, look, lines = Clock(), Clock(), Clock(), []
    busy: list[tuple[float, int, TrialOutcome]] = []
    while True:
        while len(busy) < arguments.slots and (task := ask.measure(controller.ask)) is not None:
            controller.started(task.trial, world.now)
            outcome = world.execute(task)
            heapq.heappush(busy, (world.now + outcome.cost.executed_tokens, task.trial, outcome))
        if not busy:
            return lines
        world.now, trial, outcome = heapq.heappop(busy)
        world.nodes.update(outcome.produced)
        tell.measure(functools.partial(controller.tell, trial, outcome))
        look.measure(functools.partial(progress_of, controller, study=study.study, messages=()))
        ended = len(controller.table.records)
        if ended % arguments.every == 0 or not controller.has_more:
            lines.append(line(ended, directory, {"ask": ask, "tell": tell, "snapshot": look}))
            print(lines[-1], file=sys.stderr, flush=True)


def line(ended: int, directory: RunDirectory, clocks: dict[str, Clock]) -> dict[str, object]:
    """What the trials since the last line cost, and what a ranking of all of them does."""
    ranking = Clock()
    ranking.measure(lambda: make_ranking(directory))
    return {
        "trials": ended,
        **{name: clock.summary() for name, clock in clocks.items()},
        "ranking_processor_ms": round(ranking.processor[0], 1),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def make_controller(study: Study, directory: RunDirectory, world: World, slots: int) -> SearchController:
    """A controller as a driver makes it, with simulated time and a store of names."""
    setup = make_setup(study)
    arm = OptunaSearcher(
        "staged",
        space_of_search(study, "staged", 1.0),
        seed=study.seed,
        database=open_study(directory.database, study.study),
    )
    ports = SearchDependencies(
        recorder=RunRecorder(run=directory),
        has_node=world.nodes.__contains__,
        nodes_of=lambda schedule, seed, multiple: nodes_of(schedule, seed, setup.scaled(multiple)),
        clock=lambda: world.now,
        log=lambda _: None,
    )
    plan = SearchConfig(
        seed=study.seed,
        limits=StoppingCriteria(trials=study.search.trials),
        shares={"staged": 1.0},
        baselines={},
        slots=slots,
    )
    return SearchController(plan, {"staged": arm}, ports)


if __name__ == "__main__":
    main()
