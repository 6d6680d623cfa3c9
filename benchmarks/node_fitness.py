"""Which number of a node tells best how good the schedules behind it can be, and what that is worth to a search.

    python benchmarks/node_fitness.py --table benchmarks/tables/four-by-five-probed.json --json

Compares the loss of a node, the loss of its averaged weights and, where a table has them, the losses behind short
cooldowns (probes), which cost what they train. First by rank correlation and regret, depth by depth; then by what
beam searches that rank nodes by it find for the same cost. All is replayed on stage tables; nothing is trained.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ConstantInputWarning, spearmanr

from mbo_search.engine.simulation.stage_table import OptionPath, read_stage_table
from mbo_search.system.files import read_json

DIVERGED = 20.0
"""Loss of a stage run that diverged, and of everything behind it."""

KEPT = (1, 3)
"""Numbers of nodes of a depth that are kept, in the regrets."""

WIDTHS = (1, 2, 4)
"""Nodes of a depth from which the searches begin to go on; 1 is greedy."""

NUM_ORDERS = 10
"""Orders in which a search tries the strategies of a stage."""

RANDOM = "random"
"""A fitness that knows nothing, for scale."""

OTHER_SEED = "other_seed"
"""A fitness that knows the best final loss behind a node, of another seed."""

Losses = NDArray[np.float64]
"""One loss for every sequence of strategies of one length: an axis a stage."""

Figures = dict[str, float]


@dataclass(frozen=True)
class Fitness:
    """A number that nodes can be ranked by.

    Attributes:
        name: Field of the table.
        levels: Its values at depth 1, 2, and so on, as far as the table has it.
        cost: Stage runs that it takes to know it of one node.
    """

    name: str
    levels: tuple[Losses, ...]
    cost: float = 0.0


@dataclass(frozen=True)
class Space:
    """What one seed has trained, or the part of it without some strategies.

    Attributes:
        levels: Loss behind all sequences of strategies of length 1, 2, up to whole schedules.
        fitnesses: The numbers to rank nodes by.
        reachable: The best final loss behind every node; a schedule that diverged counts as the worst that did not.
    """

    levels: tuple[Losses, ...]
    fitnesses: tuple[Fitness, ...]
    reachable: tuple[Losses, ...] = field(init=False)

    def __post_init__(self) -> None:
        final = self.levels[-1]
        clipped = np.minimum(final, final[final < DIVERGED].max())
        reachable = tuple(
            clipped.min(axis=tuple(range(depth, clipped.ndim))) for depth in range(1, len(self.levels) + 1)
        )
        object.__setattr__(self, "reachable", reachable)

    @property
    def num_options(self) -> int:
        """Strategies of every stage."""
        return len(self.levels[0])

    @property
    def best(self) -> float:
        """The lowest final loss."""
        return float(self.reachable[-1].min())

    def without(self, option: int) -> Space:
        """The space without a strategy."""
        left = [index for index in range(self.num_options) if index != option]

        def part(levels: Sequence[Losses]) -> tuple[Losses, ...]:
            return tuple(level[np.ix_(*[left] * level.ndim)] for level in levels)

        fitnesses = tuple(Fitness(one.name, part(one.levels), one.cost) for one in self.fitnesses)
        return Space(part(self.levels), fitnesses)


def read_spaces(file: Path) -> list[Space]:
    """Read a table: a space for every seed.

    Raises:
        DataError: If it is not a complete table.
    """
    table, content = read_stage_table(file), read_json(file)
    fields, probes = content["fields"], content.get("probes", [])
    averages = ["averaged_loss", *(name for name in fields if re.fullmatch(r"averaged/[.0-9]+", name))]
    spaces = []
    for number, seed in enumerate(content.get("seeds", [0])):
        suffix = f"/{seed}" if number else ""
        names = ["loss", *averages, *(f"probe/{share:g}" for share in probes)]
        costs = [0.0] * (1 + len(averages)) + [share * table.stages for share in probes]
        found = [_levels(content, fields.index(name + suffix), len(table.options)) for name in names]
        fitnesses = [
            Fitness(name, levels[: table.stages - 1], cost)
            for name, levels, cost in zip(names, found, costs, strict=True)
        ]
        spaces.append(Space(found[0], tuple(fitnesses)))
    return spaces


def _levels(content: Mapping[str, Any], position: int, num_options: int) -> tuple[Losses, ...]:
    """One number of every node that has it, depth by depth."""
    found = tuple(np.full((num_options,) * depth, np.nan) for depth in range(1, content["stages"] + 1))
    for key, row in content["loss"].items():
        path = tuple(map(int, key.split(",")))
        if position < len(row):
            found[len(path) - 1][path] = row[position]
    return found


def figures(space: Space, *, index: int, depth: int) -> Figures:
    """How well a fitness tells good nodes of a depth: rank correlation, and regrets in nats.

    Nodes that diverged are left out: any fitness knows them. The cost is that of knowing all others' fitness.
    """
    fitness, is_alive = space.fitnesses[index], space.levels[depth - 1] < DIVERGED
    values, reachable = fitness.levels[depth - 1][is_alive], space.reachable[depth - 1][is_alive]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        correlation = float(spearmanr(values, reachable).statistic)
    order = np.argsort(values, kind="stable")
    regrets = {f"regret/{kept}": float(reachable[order[:kept]].min()) - space.best for kept in KEPT}
    return {"spearman": np.nan_to_num(correlation), **regrets, "cost": fitness.cost * int(is_alive.sum())}


def random_figures(space: Space, depth: int) -> Figures:
    """The same, expected of nodes drawn at random."""
    regrets = np.sort(space.reachable[depth - 1][space.levels[depth - 1] < DIVERGED]) - space.best
    found = {}
    for kept in KEPT:
        drawn = min(kept, len(regrets))
        all_behind = [
            math.comb(left, drawn) / math.comb(len(regrets), drawn) for left in range(len(regrets), -1, -1)
        ]
        found[f"regret/{kept}"] = float(-np.diff(all_behind) @ regrets)
    return {"spearman": 0.0, **found, "cost": 0.0}


class BeamSearch:
    """All strategies of each stage behind the best nodes of the stage before; a width of 1 is greedy.

    When it has ended it begins again with one more node of each stage; what is trained and probed is kept. Nothing
    is tried behind nodes that diverged.

    Args:
        space: What is searched.
        fitness: Ranks the nodes; its cost is paid for every node but the final ones and those that diverged.
        rng: Draws the order in which the strategies are tried.

    Attributes:
        cost: What has been paid, in stage runs.
        best: The lowest final loss found.
    """

    def __init__(self, space: Space, fitness: Fitness, rng: np.random.Generator) -> None:
        self._space = space
        self._fitness = fitness
        self._order: list[int] = rng.permutation(space.num_options).tolist()
        self._known: list[dict[OptionPath, float]] = [{(): 0.0}, *({} for _ in space.levels)]
        self.cost = 0.0
        self.best = math.inf

    def run(self, width: int, budget: float) -> None:
        """Search until the next stage run would cost more than the budget, or everything is tried."""
        for beam in range(width, self._space.levels[-1].size + 1):
            for path in self._round(beam):
                loss = float(self._space.levels[len(path) - 1][path])
                is_final = len(path) == len(self._space.levels)
                is_probed = not is_final and loss < DIVERGED
                cost = self.cost + 1 + (self._fitness.cost if is_probed else 0.0)
                if cost > budget + 1e-9:
                    return
                self.cost = cost
                self.best = min(self.best, loss) if is_final else self.best
                self._known[len(path)][path] = (
                    float(self._fitness.levels[len(path) - 1][path]) if is_probed else loss
                )

    def _round(self, beam: int) -> Iterator[OptionPath]:
        """What a beam of a width still has to train, stage by stage."""
        for known, following in pairwise(self._known):
            alive = [path for path, value in known.items() if value < DIVERGED]
            for parent in sorted(alive, key=known.__getitem__)[:beam]:
                for option in self._order:
                    if (*parent, option) not in following:
                        yield (*parent, option)


def beam_cost(space: Space, width: int, fitness_cost: float) -> float:
    """Stage runs of a beam search to its end, where nothing diverges."""
    cost, parents = 0.0, 1
    for depth in range(1, len(space.levels) + 1):
        runs = parents * space.num_options
        cost += runs * (1 if depth == len(space.levels) else 1 + fitness_cost)
        parents = min(width, runs)
    return cost


def search_figures(space: Space, *, width: int) -> Figures:
    """Regret of searches by their fitness, mean over orders of the strategies.

    All may cost what the one with the dearest fitness costs to its end; the others go on with what they saved.
    """
    budget = beam_cost(space, width, max(fitness.cost for fitness in space.fitnesses))
    found = {}
    for fitness in space.fitnesses:
        searches = [BeamSearch(space, fitness, np.random.default_rng(number)) for number in range(NUM_ORDERS)]
        for search in searches:
            search.run(width, budget)
        found[fitness.name] = float(np.mean([search.best for search in searches])) - space.best
    return found | {"cost": budget}


def with_other_seed(spaces: Sequence[Space]) -> list[Space]:
    """Let nodes be ranked by what can be reached behind them on another seed, too, as a bound for any fitness."""
    if len(spaces) == 1:
        return list(spaces)
    others = [*spaces[1:], spaces[0]]
    return [
        replace(space, fitnesses=(*space.fitnesses, Fitness(OTHER_SEED, other.reachable[:-1])))
        for space, other in zip(spaces, others, strict=True)
    ]


@dataclass(frozen=True)
class Sample:
    """A table, and the tables that are left of it without one strategy, for every seed."""

    whole: list[Space]
    parts: list[Space]

    def spread(self, of: Callable[[Space], Figures]) -> dict[str, list[float]]:
        """`[mean over seeds, mean over parts, lowest, highest]` of every figure."""
        whole, parts = [of(space) for space in self.whole], [of(space) for space in self.parts]
        found = {}
        for name in whole[0]:
            values = [one[name] for one in parts]
            means = float(np.mean([one[name] for one in whole])), float(np.mean(values))
            found[name] = [round(value, 4) + 0.0 for value in (*means, min(values), max(values))]
        return found

    def duels(self, of: Callable[[Space], Figures]) -> dict[str, list[int]]:
        """In how many parts each figure is lower, and in how many higher, than that of the loss by 0.0001."""
        parts = [of(space) for space in self.parts]
        return {
            name: [
                sum(one[name] < one["loss"] - 1e-4 for one in parts),
                sum(one[name] > one["loss"] + 1e-4 for one in parts),
            ]
            for name in parts[0]
            if name not in ("loss", "cost")
        }


def sample_of(file: Path) -> Sample:
    """Read a table and leave one strategy out after the other."""
    spaces = read_spaces(file)
    parts = [[space.without(option) for space in spaces] for option in range(spaces[0].num_options)]
    return Sample(with_other_seed(spaces), [space for part in parts for space in with_other_seed(part)])


def measure(file: Path) -> dict[str, object]:
    """All figures of a table."""
    sample = sample_of(file)
    first = sample.whole[0]
    depths: dict[str, dict[str, object]] = {}
    for depth in range(1, len(first.levels)):
        found: dict[str, object] = {RANDOM: sample.spread(partial(random_figures, depth=depth))}
        for index, fitness in enumerate(first.fitnesses):
            found[fitness.name] = sample.spread(partial(figures, index=index, depth=depth))
        depths[str(depth)] = found
    return {
        "table": file.stem,
        "seeds": len(sample.whole),
        "parts": len(sample.parts),
        "best": [round(space.best, 5) for space in sample.whole],
        "depths": depths,
        "searches": {str(width): sample.spread(partial(search_figures, width=width)) for width in WIDTHS},
        "duels": {str(width): sample.duels(partial(search_figures, width=width)) for width in WIDTHS},
    }


def text(found: Mapping[str, Any]) -> str:
    """The figures of a table for people; means over seeds."""
    lines = [f"{found['table']}: {found['seeds']} seeds, {found['parts']} parts"]
    for depth, rows in found["depths"].items():
        for name, row in rows.items():
            shown = "  ".join(
                f"{figure} {row[figure][0]:7.4f} [{row[figure][2]:.4f}, {row[figure][3]:.4f}]"
                for figure in ("spearman", *(f"regret/{kept}" for kept in KEPT))
            )
            lines.append(f"  depth {depth} {name:13s} {shown}  cost {row['cost'][0]:.1f}")
    for name, row in found["searches"].items():
        regrets = "  ".join(f"{one} {row[one][0]:.4f} ({row[one][1]:.4f})" for one in row if one != "cost")
        lines.append(f"  width {name} cost {row['cost'][0]:6.1f}: {regrets}")
        duels = "  ".join(f"{one} {lower}:{higher}" for one, (lower, higher) in found["duels"][name].items())
        lines.append(f"    parts with a lower regret than by loss : with a higher one: {duels}")
    return "\n".join(lines)


def main() -> None:
    """Measure tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, nargs="+")
    parser.add_argument("--out", type=Path, default=None, help="file for the JSON document")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    tables = [measure(file) for file in arguments.table]
    document = {"schema": "mbo-search/node-fitness/1", "tables": tables}
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8")
    print(json.dumps(document, allow_nan=False) if arguments.json else "\n".join(map(text, tables)))


if __name__ == "__main__":
    main()
