"""How well the remaining time is told: searches of the shipped studies in simulated time.

    python -m benchmarks.eta --seeds 3 -o benchmarks/results/eta.json

Nothing is trained. Controller, searchers, records and the estimator are those of a real search; a trial takes as
long as its tokens, its optimizers and a share of luck say, and the first trial of a slot waits for its
worker. At every hundredth of the time the estimate is read as the live table would show it, and divided by what the
search then really took. With `--live DIR` a small search is really run as well.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from benchmarks.scale import World
from mbo_search.api.studies import load_study
from mbo_search.engine.composition import search_config
from mbo_search.engine.control.controller import SearchController
from mbo_search.engine.control.dependencies import SearchDependencies
from mbo_search.engine.control.progress import Progress
from mbo_search.engine.control.remaining import Estimator
from mbo_search.engine.housekeeping import RunRecorder
from mbo_search.engine.open_run import OpenRun
from mbo_search.engine.searcher.searches import open_searchers
from mbo_search.engine.tasks import TrialTask, nodes_of
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.study import Study
from mbo_search.testing.runs import make_setup
from mbo_search.train.setup.resolve import branch_points
from mbo_search.trial.outcome import TrialOutcome

__all__ = ["main"]

STUDIES = ("quickstart", "two-stage-cooldown", "three-stage-full", "switching", "own-text")
TOKENS_PER_SECOND = 4000.0
"""Pace of a slot with AdamW."""

SLOWER = {"soap": 1.6, "muon": 1.25, "ademamix": 1.15}
"""Factors of the time that a step of other optimizers takes."""

START_SECONDS = 6.0
"""Time in which a worker imports what it needs."""

TRIAL_SECONDS = 0.4
"""Time of a trial besides its steps: the proposal, states that are read and written."""

LUCK = 0.1
"""Standard deviation of the logarithm of a trial's time."""

BOUND = 1.5


@dataclass(frozen=True)
class Running:
    """A trial at work in simulated time."""

    task: TrialTask
    outcome: TrialOutcome
    began: float
    ends: float

    def position(self, now: float) -> int:
        """Charged tokens behind it, as its worker would tell."""
        shared = self.task.tokens - self.outcome.cost.tokens
        share = min(1.0, max(0.0, (now - self.began) / (self.ends - self.began)))
        return shared + round(share * self.outcome.cost.tokens)


@dataclass
class Told:
    """Estimates of a search: when, and how many seconds were said to be left."""

    began: float
    said: list[tuple[float, float | None]] = field(default_factory=list)

    def ratios(self, end: float, first: float, last: float) -> list[float]:
        """Told over true time left, between two shares of the whole time."""
        total = end - self.began
        window = [(at, left) for at, left in self.said if first <= (at - self.began) / total <= last]
        return [left / (end - at) for at, left in window if left is not None and end > at]


def simulated(study: Study, seed: int, folder: Path) -> tuple[Told, float]:
    """Search a study in simulated time; the estimates, and when it ended."""
    luck, world = random.Random(seed), World()
    controller = make_controller(study.model_copy(update={"seed": seed}), folder, world)
    slots, began = controller.config.slots, world.now
    estimator, told = Estimator(began), Told(began)
    busy: list[tuple[float, int]] = []
    at_work: dict[int, Running] = {}
    num_started = 0
    while True:
        while len(busy) < slots and (task := controller.ask()) is not None:
            running = start(task, world, luck, waits=START_SECONDS if num_started < slots else 0.0)
            num_started += 1
            controller.started(task.trial, world.now)
            at_work[task.trial] = running
            heapq.heappush(busy, (running.ends, task.trial))
        if not busy:
            return told, world.now
        end, trial = heapq.heappop(busy)
        look(controller, estimator, told, world, at_work, until=end)
        world.now, ended = end, at_work.pop(trial)
        world.nodes.update(ended.outcome.produced)
        controller.tell(trial, ended.outcome)


def start(task: TrialTask, world: World, luck: random.Random, *, waits: float) -> Running:
    """Begin a trial: what it will give, and how long it takes."""
    outcome = world.execute(task)
    slower = statistics.mean(SLOWER.get(stage.optimizer, 1.0) for stage in task.schedule.stages)
    seconds = outcome.cost.tokens / TOKENS_PER_SECOND * slower * math.exp(luck.gauss(0.0, LUCK)) + TRIAL_SECONDS
    began = world.now + waits
    return Running(task=task, outcome=outcome, began=began, ends=began + seconds)


def look(
    controller: SearchController,
    estimator: Estimator,
    told: Told,
    world: World,
    at_work: dict[int, Running],
    *,
    until: float,
) -> None:
    """Read the estimate every second until the next event."""
    while world.now + 1.0 < until:
        world.now += 1.0
        positions = {trial: one.position(world.now) for trial, one in at_work.items() if world.now >= one.began}
        told.said.append((world.now, estimator.estimate(controller, positions, world.now).seconds))


def make_controller(study: Study, folder: Path, world: World) -> SearchController:
    """A controller as a driver makes it, with simulated time and a store of names."""
    setup = make_setup(study).model_copy(update={"branch_points": branch_points(study)})
    directory = RunDirectory.create(folder, study, setup)
    found = OpenRun(run=directory, study=study, setup=setup, prepared=cast(Any, None))
    slots = 2 if study.resources.workers == "auto" else study.resources.workers
    ports = SearchDependencies(
        recorder=RunRecorder(run=directory),
        has_node=world.nodes.__contains__,
        nodes_of=lambda schedule, seed, multiple: nodes_of(schedule, seed, setup.scaled(multiple)),
        clock=lambda: world.now,
        log=lambda _: None,
    )
    return SearchController(search_config(found, slots), open_searchers(study, directory), ports)


def live(folder: Path) -> dict[str, object]:
    """Really run a small search, one trial at a time, and read its estimates."""
    from mbo_search.engine.run import RunOptions, run_study

    study = load_study("quickstart", ["search.trials=8", "resources.workers=1", "search.searcher=random"])
    told = Told(time.time())

    def observe(progress: Progress) -> None:
        told.said.append((time.time(), progress.eta_seconds))

    run_study(study, folder, RunOptions(cache=folder.parent / "cache", backend="local", observe=observe))
    return {"study": "quickstart, 8 schedules, really trained", **summary([(told, time.time())])}


def summary(searches: Sequence[tuple[Told, float]]) -> dict[str, object]:
    """Ratios of the told to the true time left, over the stretches of a search."""
    found: dict[str, object] = {"seconds": round(statistics.mean(end - told.began for told, end in searches))}
    for first, last in ((0.1, 0.25), (0.25, 0.5), (0.5, 0.9)):
        ratios = sorted(ratio for told, end in searches for ratio in told.ratios(end, first, last))
        if ratios:
            low, high = (ratios[round(share * (len(ratios) - 1))] for share in (0.05, 0.95))
            found[f"{first:.0%} to {last:.0%}"] = [round(one, 2) for one in (statistics.median(ratios), low, high)]
    after = [ratio for told, end in searches for ratio in told.ratios(end, 0.1, 0.9)]
    within = sum(1 / BOUND <= ratio <= BOUND for ratio in after)
    return {**found, "within": round(within / max(1, len(after)), 3)}


def main() -> None:
    """Simulate, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--study", nargs="*", default=list(STUDIES))
    parser.add_argument("--live", type=Path, metavar="DIR", help="also run a small search there")
    parser.add_argument("-o", "--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for name in arguments.study:
        searches = []
        for seed in range(arguments.seeds):
            with tempfile.TemporaryDirectory() as folder:
                searches.append(simulated(load_study(name), seed, Path(folder) / "run"))
        rows.append({"study": name, **summary(searches)})
        print(rows[-1], file=sys.stderr, flush=True)
    rows += [] if arguments.live is None else [live(arguments.live)]
    text = json.dumps({"schema": "mbo-search/eta/1", "bound": BOUND, "studies": rows}, indent=1)
    print(text)
    if arguments.out is not None:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
