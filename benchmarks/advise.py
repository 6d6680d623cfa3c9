"""Does the study that `advise` writes reach the earlier best with half of the trials? Looked up, and trained.

    python benchmarks/advise.py tables --table benchmarks/tables/four-by-six.json --seeds 20 --json
    python benchmarks/advise.py study --example quickstart --seeds 3 --out reports/advise --json

`tables` searches exhaustive stage tables in simulated time: a search of some stage runs, advice from its trials,
and two further searches with another seed, one in the space that the advice leaves and one in the whole space,
which shows what mere repetition reaches. `study` really trains: the shipped study, and then the study that its
trials advise, on the same seed, with half of the trials, and without anything of the first search. Both continue
where they were interrupted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mbo_search.advising.advice import advise_on
from mbo_search.advising.offers import new_offers
from mbo_search.advising.told import Margin, Told, ToldTrial, best_first
from mbo_search.engine.simulation.simulate import Simulation, simulate_in, table_space
from mbo_search.engine.simulation.stage_table import StageTable, TableSpace, read_stage_table
from mbo_search.results.records.records import Params, TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.space.parameters import Parameter

OTHER_SEEDS = 1000
"""Distance of the seeds of second searches from those of first ones."""


@dataclass(frozen=True)
class Row:
    """One search, the advice from it, and what second searches reach.

    Attributes:
        name: The table or the study.
        seed: Seed of the first search.
        trials: Its finished schedules.
        found_at: Which of them was the best.
        gap: Best loss of it less the lowest in the table; None where that is not known.
        changes: Settings that the advice changes.
        lost: Lowest loss in the advised space less the best found before: above 0 where the advice lost it.
        reached_at: Schedule of the advised search that is as good as the earlier best; None: none is.
        repeated_at: The same of the whole space searched again, or of the first search itself.
        best: Lowest loss of the first search.
        best_advised: Lowest loss of the advised search.
    """

    name: str
    seed: int
    trials: int
    found_at: int
    gap: float | None
    changes: int
    lost: float | None
    reached_at: int | None
    repeated_at: int | None
    best: float
    best_advised: float

    @property
    def is_reached(self) -> bool:
        """Whether half of the trials were enough."""
        return self.reached_at is not None and 2 * self.reached_at <= self.trials

    @property
    def is_repeated(self) -> bool:
        """Whether they were enough without the advice."""
        return self.repeated_at is not None and 2 * self.repeated_at <= self.trials


def losses_of(records: Sequence[TrialRecord]) -> list[float]:
    """Losses of the finished schedules of the search, in order."""
    ordered = sorted(records, key=lambda record: record.trial)
    return [record.val_loss for record in ordered if record.is_search and record.val_loss is not None]


def first_below(losses: Sequence[float], goal: float) -> int | None:
    """Number of the first schedule that is as good."""
    return next((number for number, loss in enumerate(losses, start=1) if loss <= goal), None)


class _Remember:
    """Answers as an option of a table needs, and remembers what was asked."""

    def __init__(self, wanted: Mapping[str, str | float]) -> None:
        self.params: Params = {}
        self.offered: dict[str, tuple[str | float, ...]] = {}
        self._wanted = wanted

    def categorical(self, name: str, choices: Sequence[str | float]) -> str | float:
        """Answer by the field that the name begins with."""
        field = name.split("/")[2]
        value = self._wanted.get(field, 0.0 if "." in field else "none")
        self.params[name], self.offered[name] = value, tuple(choices)
        return value

    def number(self, name: str, low: float, high: float, *, log: bool, step: float | None) -> float:
        """No table asks for one."""
        raise NotImplementedError


def space_of(table: StageTable) -> tuple[tuple[Parameter, ...], list[Params]]:
    """The settings of a table's space, and those that name each strategy in any stage."""
    space = TableSpace(table)
    choices: dict[str, tuple[str | float, ...]] = {}
    named: list[Params] = []
    for option in range(len(table.options)):
        asked = _Remember(space.meaning(option))
        assert space(asked) == (option,) * table.stages
        choices |= asked.offered
        named.append(asked.params)
    return tuple(Parameter(name=name, choices=offered) for name, offered in choices.items()), named


def advised_options(told: Told, named: Sequence[Params], stages: int) -> tuple[int, list[list[int]]]:
    """How many settings change, and the strategies that every stage still offers."""
    offers = new_offers(told)
    gone = {
        (offer.parameter.name, choice)
        for offer in offers
        for choice in offer.parameter.choices
        if isinstance(offer.offer, tuple) and choice not in offer.offer
    }
    left = [
        [
            option
            for option, params in enumerate(named)
            if not any(
                name.startswith(f"stage/{stage}/") and (name, value) in gone for name, value in params.items()
            )
        ]
        for stage in range(stages)
    ]
    return len(offers), left


def row_of_table(table: StageTable, *, seed: int, budget: int, margin: float) -> Row:
    """Search a table, take the advice, and search again."""

    def search(space: TableSpace, own_seed: int) -> tuple[TrialRecord, ...]:
        what = Simulation(searcher="tree", budget_stage_runs=budget, seed=own_seed)
        return simulate_in(table, what, table_space(table, what, space))[1]

    space, named = space_of(table)
    records = search(TableSpace(table), seed)
    losses = losses_of(records)
    best = min(losses)
    trials = [
        ToldTrial(study=table.name, trial=one.trial, seed=0, params=one.params, behind=one.val_loss - best)
        for one in records
        if one.val_loss is not None
    ]
    told = Told(trials=best_first(trials, space), space=space, margin=Margin(size=margin))
    changes, offered = advised_options(told, named, table.stages)
    left = [
        loss
        for path, loss in table.losses.items()
        if len(path) == table.stages and all(option in offered[at] for at, option in enumerate(path))
    ]
    advised = losses_of(search(TableSpace(table, offered), seed + OTHER_SEEDS)) or left  # a single schedule is left
    found_at = first_below(losses, best)
    assert found_at is not None
    return Row(
        name=table.name,
        seed=seed,
        trials=len(losses),
        found_at=found_at,
        gap=best - table.best_loss,
        changes=changes,
        lost=min(left) - best,
        reached_at=first_below(advised, best),
        repeated_at=first_below(losses_of(search(TableSpace(table), seed + OTHER_SEEDS)), best),
        best=best,
        best_advised=min(advised),
    )


def row_of_study(example: str, seed: int, out: Path, overrides: Sequence[str]) -> Row:
    """Train a shipped study, take the advice, and train the advised study with half of the trials."""
    import mbo_search as mbo

    quiet = mbo.Options(quiet=True)
    first, second = out / f"{example}-{seed}", out / f"{example}-{seed}-next"
    mbo.search(mbo.load_study(example, [f"seed={seed}", *overrides]), out=first, options=quiet)
    losses = losses_of(RunDirectory.open(first).records())
    advice, half = advise_on([first]), math.ceil(len(losses) / 2)
    search = advice.study.search.model_copy(update={"trials": half})
    mbo.search(advice.study.model_copy(update={"search": search}), out=second, options=quiet)
    advised, best = losses_of(RunDirectory.open(second).records()), min(losses)
    found_at = first_below(losses, best)
    assert found_at is not None
    return Row(
        name=example,
        seed=seed,
        trials=len(losses),
        found_at=found_at,
        gap=None,
        changes=sum(bool(change.setting) for change in advice.changes),
        lost=None,
        reached_at=first_below(advised, best),
        repeated_at=first_below(losses[:half], best),
        best=best,
        best_advised=min(advised),
    )


def main() -> None:
    """Read the command line, search, and print a row for every search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["tables", "study"])
    parser.add_argument("--table", type=Path, action="append", default=[], help="a stage table; repeatable")
    parser.add_argument("--budget", type=int, default=40, help="stage runs of a search of a table")
    parser.add_argument("--margin", type=float, default=0.005, help="nats that noise explains in a table")
    parser.add_argument("--example", default="quickstart", help="a shipped study")
    parser.add_argument("--set", action="append", default=[], dest="overrides", help="a setting of it; repeatable")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("reports/advise"))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows: list[Row] = []
    for name, seed in itertools.product(
        asked.table if asked.mode == "tables" else [asked.example], range(asked.seeds)
    ):
        if asked.mode == "tables":
            table = read_stage_table(name)
            rows.append(row_of_table(table, seed=seed, budget=asked.budget, margin=asked.margin))
        else:
            rows.append(row_of_study(name, seed, asked.out, asked.overrides))
        if seed == asked.seeds - 1 and not asked.json:
            print(summary_of(rows[-1].name, rows[-asked.seeds :]), flush=True)
    if asked.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))


def summary_of(name: str, rows: Sequence[Row]) -> str:
    """One line about a table or a study."""
    lost = [row.lost for row in rows if row.lost is not None]
    trials, changes = (sum(values) / len(rows) for values in ([r.trials for r in rows], [r.changes for r in rows]))
    return (
        f"{name}: {len(rows)} searches of {trials:.0f} schedules, {changes:.1f} settings changed; earlier best "
        f"reached with half of the trials: advised {sum(row.is_reached for row in rows)}, not advised "
        f"{sum(row.is_repeated for row in rows)}; best lost by the advice: {sum(one > 0 for one in lost)} of "
        f"{len(lost)}"
    )


if __name__ == "__main__":
    main()
