"""What it costs a search to choose how many stages there are, and to keep limits, on exhaustive stage tables.

    python benchmarks/optional_stages.py --seeds 10 --json

Every table is searched in three spaces through the real controller in simulated time:

    fixed     as many stages as the table has stage runs, each of one run
    optional  the same, but each stage except the last may be left out; the last one takes what is left. Both spaces
              hold every sequence of the table, so the best loss is the same
    limited   the optional space with at most one change of the optimizer, against the best sequence that keeps it

For each the mean of the best loss less the lowest of the space is given at the budget, and the share of the draws
that came to nothing: `broken` because a schedule was not valid or broke a limit, `repeated` because it was known.
The first line of a table says which share of its sequences the limit forbids. `--study` draws schedules of
`three-stage-full`, with its first two stages optional, at random within limits and without, and counts what is not
valid or breaks a limit: that is what a searcher that does not know the limits would have to throw away.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mbo_search.engine.searcher.optuna_searcher import SearchEffort, SearchSpace
from mbo_search.engine.searcher.registry import searcher_maker
from mbo_search.engine.searcher.space_segments import space_segments, trained_stages
from mbo_search.engine.searcher.staged_space import StagedSpace
from mbo_search.engine.simulation.simulate import SEGMENT_TOKENS, Simulation, simulate
from mbo_search.engine.simulation.stage_table import OptionPath, StageTable, read_stage_table
from mbo_search.errors import StudyError
from mbo_search.study.examples import example_path
from mbo_search.study.files.study_file import load_study
from mbo_search.study.space.axes import StageAxes
from mbo_search.study.space.parameters import Suggest, choose
from mbo_search.study.space.space import Space, finite_size, propose, staged_space
from mbo_search.study.spec.reference_lr import LR_DIGITS
from mbo_search.study.spec.schedule import Schedule, Stage
from mbo_search.study.spec.sections.choices import LrShapeChoice, OptimizerChoice
from mbo_search.study.spec.sections.stages import AtMostSpec
from mbo_search.study.spec.segments import BudgetSteps, cut
from mbo_search.testing.runs import RandomSuggest
from mbo_search.units import round_significant

TABLES = ("topics-three-by-twelve", "three-by-twelve", "three-by-eight-noisy", "four-by-five")
SEARCHERS = ("tree", "tpe", "random", "beam2")
LIMITS = AtMostSpec(optimizer_changes=1)

_REAL_NAMES = {"muon+adamw": "muon"}
_STEPS_PER_RUN = 10

_OPTIONAL = ("stages.0.share={low: 0, high: 0.3}", "stages.1.share={low: 0, high: 0.5}", "stages.0.warmup=0.02")


@dataclass
class Draws:
    """What became of the draws of a search.

    Attributes:
        all: Schedules drawn.
        broken: Those that are not valid or break a limit.
    """

    all: int = 0
    broken: int = 0


def table_space(table: StageTable, *, is_optional: bool, limits: AtMostSpec) -> Space:
    """The space of a table's strategies, as that of a study."""
    rates = _rates(table)
    one = 1 / table.stages
    stages = [
        StageAxes(
            name=f"s{index}",
            share=None if index == table.stages - 1 else (0.0, one) if is_optional else one,
            optimizers=tuple(OptimizerChoice(name=name) for name in rates),
            relative_lr=None,
            absolute_lr={name: own if len(own) > 1 else own[0] for name, own in rates.items()},
            lr_shapes=(LrShapeChoice(kind="constant"),),
            warmup=None,
            first_warmup=0.0 if index else None,
            weight_decay=0.0,
            clip_norm=None,
            regularizers=((),),
            trainable=("all",),
            hand_over=("carry",) if index else (),
        )
        for index in range(table.stages)
    ]
    return Space(
        stages=tuple(stages),
        budget=BudgetSteps(num_segments=table.stages, steps_per_segment=_STEPS_PER_RUN, batch_tokens=64),
        reference_lrs=dict.fromkeys(rates, 1.0),
        limits=limits,
    )


def _rates(table: StageTable) -> dict[str, tuple[float, ...]]:
    found: dict[str, list[float]] = {}
    for option in table.options:
        found.setdefault(_optimizer(option), []).append(_rate(option))
    return {name: tuple(rates) for name, rates in found.items()}


def _optimizer(option: dict[str, str | float]) -> str:
    name = str(option["optimizer"])
    return _REAL_NAMES.get(name, name)


def _rate(option: dict[str, str | float]) -> float:
    return round_significant(float(option["lr"]), LR_DIGITS)


def _renamed(table: StageTable, schedule: Schedule) -> Schedule:
    """A schedule whose stages are named by their strategies' positions in the table."""
    positions = {(_optimizer(option), _rate(option)): str(index) for index, option in enumerate(table.options)}
    stages = (_as_option(stage, positions[stage.optimizer, stage.lr]) for stage in schedule.stages)
    return Schedule(stages=tuple(stages))


def _as_option(stage: Stage, name: str) -> Stage:
    return Stage(name=name, share=stage.share, optimizer=stage.optimizer, lr=stage.lr)


def _num_changes(optimizers: Sequence[str]) -> int:
    return sum(before != after for before, after in itertools.pairwise(optimizers))


def _keeps(optimizers: Sequence[str], limits: AtMostSpec) -> bool:
    return limits.optimizer_changes is None or _num_changes(optimizers) <= limits.optimizer_changes


def search_space(table: StageTable, space: Space, what: Simulation, draws: Draws) -> SearchSpace:
    """A space with its searcher, whose draws are counted."""

    def define(suggest: Suggest) -> object:
        return choose(space.walk, suggest)

    def function(suggest: Suggest) -> Schedule:
        draws.all += 1
        try:
            schedule = propose(space, suggest)
            cut(schedule, space.budget)
        except StudyError:
            draws.broken += 1
            raise
        draws.broken += not _keeps(schedule.optimizers, space.limits)
        return _renamed(table, schedule)

    staged = StagedSpace(
        define=define,
        num_stages=table.stages,
        schedules=what.budget_stage_runs / table.stages,
        segments=space_segments(space),
        seed=what.seed,
        trained_stages=trained_stages(space),
    )
    return SearchSpace(
        function=function,
        sampler=searcher_maker(what.searcher, staged),
        size=finite_size(space),
        effort=SearchEffort(tokens=float(what.budget_stage_runs * SEGMENT_TOKENS)),
        trained_stages=trained_stages(space),
    )


def best_within(table: StageTable, limits: AtMostSpec) -> float:
    """The lowest loss of a sequence that keeps the limits."""
    return min(
        loss
        for path, loss in table.losses.items()
        if len(path) == table.stages and _keeps(_optimizers(table, path), limits)
    )


def rejection(table: StageTable, limits: AtMostSpec) -> float:
    """Share of the table's sequences that break the limits."""
    paths = [path for path in table.losses if len(path) == table.stages]
    return sum(not _keeps(_optimizers(table, path), limits) for path in paths) / len(paths)


def _optimizers(table: StageTable, path: OptionPath) -> list[str]:
    return [_optimizer(table.options[option]) for option in path]


def rows(table: StageTable, searchers: Sequence[str], *, seeds: int, budget: int) -> Iterator[dict[str, object]]:
    """Search a table in all spaces."""
    spaces = {
        "fixed": table_space(table, is_optional=False, limits=AtMostSpec()),
        "optional": table_space(table, is_optional=True, limits=AtMostSpec()),
        "limited": table_space(table, is_optional=True, limits=LIMITS),
    }
    for searcher in searchers:
        for kind, space in spaces.items():
            lowest = best_within(table, space.limits)
            regrets, draws, num_trials = [], Draws(), 0
            for seed in range(seeds):
                what = Simulation(searcher=searcher, budget_stage_runs=budget, seed=seed)
                found = simulate(table, what, search_space(table, space, what, draws))
                last = found.curve[-1].best_loss
                regrets.append((table.median_loss if last is None else last) - lowest)
                num_trials += found.trials
            # each trial is also replayed once for the searcher's study, which is no draw
            drawn = draws.all - num_trials
            yield {
                "table": table.name,
                "searcher": searcher,
                "space": kind,
                "regret_nats": round(statistics.mean(regrets), 5),
                "standard_error": round(statistics.stdev(regrets) / len(regrets) ** 0.5, 5) if seeds > 1 else None,
                "draws": drawn,
                "broken_percent": round(100 * draws.broken / max(1, drawn), 2),
                "repeated_percent": round(100 * (drawn - draws.broken - num_trials) / max(1, drawn), 1),
            }


def study_draws(count: int) -> Iterator[dict[str, object]]:
    """Draw schedules of a shipped study with optional stages, within limits and without."""
    limits = AtMostSpec(stages=2, optimizer_changes=1, resets=0)
    for kind, at_most in (("limited", limits), ("not limited", AtMostSpec())):
        written = json.dumps(at_most.model_dump())
        study = load_study(example_path("three-stage-full"), [*_OPTIONAL, f"at_most={written}"])
        space = staged_space(study)
        rng = np.random.default_rng(0)
        broken = sum(not _is_good(space, RandomSuggest(rng), limits) for _ in range(count))
        yield {
            "study": study.study,
            "space": kind,
            "draws": count,
            "broken_percent": round(100 * broken / count, 2),
        }


def _is_good(space: Space, suggest: Suggest, limits: AtMostSpec) -> bool:
    try:
        schedule = propose(space, suggest)
        cut(schedule, space.budget)
    except StudyError:
        return False
    num_resets = sum(stage.hand_over == "reset" for stage in schedule.stages)
    counted = (len(schedule.stages), limits.stages), (num_resets, limits.resets)
    return _keeps(schedule.optimizers, limits) and all(limit is None or own <= limit for own, limit in counted)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="append", choices=TABLES)
    parser.add_argument("--searcher", action="append", choices=SEARCHERS)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=int, default=60, help="stage runs of a search")
    parser.add_argument("--study", type=int, metavar="DRAWS", help="draw from a study instead")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    write = functools.partial(print, flush=True)
    if arguments.study is not None:
        for row in study_draws(arguments.study):
            write(json.dumps(row))
        return
    for name in arguments.table or TABLES:
        table = read_stage_table(Path(__file__).parent / "tables" / f"{name}.json")
        write(f"{name}: {rejection(table, LIMITS):.1%} of all sequences break the limit")
        for row in rows(table, arguments.searcher or SEARCHERS, seeds=arguments.seeds, budget=arguments.budget):
            write(json.dumps(row) if arguments.json else "  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
