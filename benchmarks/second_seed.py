"""Whether a search should check its favorite beginning on a second seed before it spends much of its budget there.

    python benchmarks/second_seed.py --table benchmarks/tables/four-by-five-seeds.json --budget 60 --json

A search sees one seed, so a beginning may look good by luck, and so does everything behind it. Compared, on stage
tables with five seeds or more, by what the schedule that ends ahead has on seeds that nobody looked at:

- `none`: the search as it is.
- `schedule`, `beginning`: before a beginning gets more than 30 % of the budget, its best schedule and the best one
  of another beginning are trained on a second seed. The difference that this makes counts half, for that schedule
  or for all that begin like it. The check is paid for and, in its favor, known as soon as the schedule has ended.
- `confirmed`, `beginning, confirmed`: the three best schedules of `none` and of `beginning`, trained on two further
  seeds when the search has ended, as `mbo-search confirm --top 3` does it with more; the best mean is taken.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mbo_search.engine.simulation.simulate import Simulation, simulate
from mbo_search.engine.simulation.stage_table import OptionPath, StageTable, read_stage_table
from mbo_search.system.files import read_json

SHARE = 0.3
"""Share of the budget from which on a beginning is checked."""

NUM_CONFIRMED = 3
NUM_CONFIRM_SEEDS = 2

LOSS = "loss"
Losses = dict[OptionPath, float]


class Asked(Losses):
    """Losses that remember in which order they were asked for first: the stage runs of a search."""

    def __init__(self, losses: Mapping[OptionPath, float]) -> None:
        super().__init__(losses)
        self.order: dict[OptionPath, None] = {}

    def __getitem__(self, path: OptionPath) -> float:
        self.order[path] = None
        return super().__getitem__(path)


@dataclass(frozen=True)
class Searched:
    """What a search looked at.

    Attributes:
        stage_runs: The sequences of strategies that it executed, in order.
        finals: Final losses as the search saw them, of the whole schedules among them.
    """

    stage_runs: list[OptionPath]
    finals: Losses

    @property
    def best(self) -> OptionPath:
        """The schedule that is ahead."""
        return min(self.finals, key=self.finals.__getitem__)

    def best_by_beginning(self) -> Losses:
        """The best schedule of each first strategy, best first, with its loss."""
        found: Losses = {}
        for path in sorted(self.finals, key=self.finals.__getitem__):
            if path[0] not in {other[0] for other in found}:
                found[path] = self.finals[path]
        return found


@dataclass(frozen=True)
class Seeds:
    """A table's losses by seed.

    Attributes:
        table: The table, of the first seed.
        losses: One mapping for every seed.
    """

    table: StageTable
    losses: list[Losses]

    def search(self, losses: Losses, stage_runs: int, *, seed: int) -> Searched:
        """Search the space for so many stage runs, with these losses."""
        asked = Asked(losses)
        table = self.table.model_copy(update={"losses": asked})
        simulate(table, Simulation(searcher="tree", budget_stage_runs=stage_runs, seed=seed))
        runs = list(asked.order)[:stage_runs]
        return Searched(runs, {path: losses[path] for path in runs if len(path) == self.table.stages})

    def mean(self, path: OptionPath, seeds: Sequence[int]) -> float:
        """Mean loss of a schedule over some seeds, in nats."""
        return statistics.fmean(self.losses[seed][path] for seed in seeds)


@dataclass(frozen=True)
class Roles:
    """Which seed does what.

    Attributes:
        first: The search's.
        second: That of the checks.
        confirm: Those of the confirmation.
        unseen: Those that nobody looked at.
    """

    first: int
    second: int
    confirm: tuple[int, ...]
    unseen: tuple[int, ...]


@dataclass
class Guard:
    """Checks beginnings on a second seed and searches again with what that says.

    Attributes:
        seeds: The table.
        roles: Which seed does what.
        concerns: Which sequences a check of a schedule concerns.
        checked: Beginnings that have been checked.
        losses: What the search sees.
    """

    seeds: Seeds
    roles: Roles
    concerns: Callable[[OptionPath, OptionPath], bool]
    checked: set[int] = field(default_factory=set)
    losses: Losses = field(default_factory=dict)

    def run(self, budget: int) -> Searched:
        """Search until no beginning that got much of the budget is unchecked."""
        self.losses = dict(self.seeds.losses[self.roles.first])
        spent = 0
        while True:
            found = self.seeds.search(self.losses, budget - spent, seed=self.roles.first)
            favorite = _favorite(found, budget)
            if favorite is None or favorite in self.checked or spent > budget / 3:
                return found
            spent += self._check(found, favorite)

    def _check(self, found: Searched, beginning: int) -> int:
        """Train a beginning's best schedule and the best of the others on the second seed; what that costs."""
        self.checked.add(beginning)
        best = found.best_by_beginning()
        mine = next((path for path in best if path[0] == beginning), None)
        other = next((path for path in best if path[0] != beginning), None)
        if mine is None or other is None:
            return 0
        first, second = self.seeds.losses[self.roles.first], self.seeds.losses[self.roles.second]
        shift = ((second[mine] - second[other]) - (first[mine] - first[other])) / 2
        for path in self.losses:
            if self.concerns(path, mine):
                self.losses[path] += shift
        return 2 * self.seeds.table.stages


def _favorite(found: Searched, budget: int) -> int | None:
    """The first strategy that got more than its share of the budget, if any."""
    ((most, num_stage_runs),) = Counter(path[0] for path in found.stage_runs).most_common(1)
    return most if num_stage_runs > SHARE * budget else None


def _roles(num_seeds: int) -> Iterator[Roles]:
    """Every ordered pair of seeds, and the others behind them in a circle."""
    for first, second in itertools.permutations(range(num_seeds), 2):
        circle = [(first + step) % num_seeds for step in range(1, num_seeds)]
        left = tuple(seed for seed in circle if seed != second)
        yield Roles(first, second, left[:NUM_CONFIRM_SEEDS], left[NUM_CONFIRM_SEEDS:])


def _policies(seeds: Seeds, plain: Searched, roles: Roles, budget: int) -> dict[str, OptionPath]:
    """The schedule that every policy ends with, by the undisturbed search and what its seeds have to do."""
    checked = Guard(seeds, roles, lambda path, mine: path[0] == mine[0]).run(budget)
    return {
        "none": plain.best,
        "schedule": Guard(seeds, roles, lambda path, mine: path == mine).run(budget).best,
        "beginning": checked.best,
        "confirmed": _confirmed(seeds, plain, roles),
        "beginning, confirmed": _confirmed(seeds, checked, roles),
    }


def _confirmed(seeds: Seeds, found: Searched, roles: Roles) -> OptionPath:
    """The best mean over the confirm seeds, of the schedules that are ahead."""
    ahead = sorted(found.finals, key=found.finals.__getitem__)[:NUM_CONFIRMED]
    return min(ahead, key=lambda path: seeds.mean(path, roles.confirm))


def measure(seeds: Seeds, budget: int) -> dict[str, list[float]]:
    """Mean loss on the unseen seeds, policy by policy, for every ordered pair of seeds, in nats."""
    found: dict[str, list[float]] = {}
    plain = [seeds.search(losses, budget, seed=seed) for seed, losses in enumerate(seeds.losses)]
    for roles in _roles(len(seeds.losses)):
        for policy, path in _policies(seeds, plain[roles.first], roles, budget).items():
            found.setdefault(policy, []).append(seeds.mean(path, roles.unseen))
        print(f"{seeds.table.name}: {roles} done", file=sys.stderr, flush=True)
    return found


def read_seeds(file: Path) -> Seeds:
    """Read a table with all its seeds."""
    fields = [name for name in read_json(file)["fields"] if name == LOSS or name.startswith(f"{LOSS}/")]
    tables = [read_stage_table(file, name) for name in fields]
    return Seeds(tables[0], [dict(table.losses) for table in tables])


def difference(nats: Sequence[float], others: Sequence[float], num_seeds: int) -> tuple[float, float]:
    """Mean difference of two policies and its standard error over the searches' seeds, which share nothing else."""
    pairs = [one - other for one, other in zip(nats, others, strict=True)]
    means = [
        statistics.fmean(pairs[start : start + num_seeds - 1]) for start in range(0, len(pairs), num_seeds - 1)
    ]
    return statistics.fmean(means), statistics.stdev(means) / num_seeds**0.5


def main() -> None:
    """Measure one table and print a line for every policy, or JSON."""
    parser = argparse.ArgumentParser(description="What a second seed in the middle of a search is worth")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--budget", type=int, default=60, help="stage runs, checks included [60]")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    seeds = read_seeds(given.table)
    found = measure(seeds, given.budget)
    if given.json:
        print(json.dumps({"table": seeds.table.name, "budget": given.budget, "nats": found}))
        return
    for policy, nats in found.items():
        mean, error = difference(nats, found["none"], len(seeds.losses))
        print(f"{policy:20} {1e3 * mean:+5.1f} thousandths of a nat against none, standard error {1e3 * error:.1f}")


if __name__ == "__main__":
    main()
