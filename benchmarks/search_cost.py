"""What searches cost on exhaustive stage tables: curves of the best loss against executed stage runs.

    python benchmarks/search_cost.py --table benchmarks/tables/topics-three-by-twelve.json --seeds 30 --json

Ours and the peers run through the real controller in simulated time (`mbo_search.engine.simulation.simulate`). The
reference is what Ray Tune users run: Optuna's TPE with ASHA, rungs at the stage boundaries, the better of two
reduction factors, nothing shared; it is replayed here, and `--cross-check` compares the replay with real Ray.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from numpy.typing import NDArray

from mbo_search.engine.searcher.suggest import OptunaSuggest
from mbo_search.engine.simulation.simulate import DIVERGED_NATS, Simulation, simulate
from mbo_search.engine.simulation.stage_table import OptionPath, StageTable, TableSpace, read_stage_table

REDUCTION_FACTORS = (2, 4)
PEERS = ("random", "optuna-tpe", "optuna-gp", "greedy", "beam2", "beam4", "local")
REFERENCE = "reference-"
NUM_RESAMPLES = 1000
MOST_IDLE_PROPOSALS = 2000
"""Proposals in a row without a new stage run after which a peer has nothing left to try."""

OPTUNA = "optuna-"
MOST_OPTUNA_TRIALS = {"optuna-tpe": 720, "optuna-gp": 180}
"""Trials of Optuna's own samplers, which may propose for ever what is known; a process takes a second for each."""

Curve = NDArray[np.float64]
Curves = NDArray[np.float64]
"""Best loss of every seed (rows) behind every stage run (columns)."""


@dataclass
class Ledger:
    """What has been executed, and the best loss behind every stage run."""

    table: StageTable
    budget: int

    def __post_init__(self) -> None:
        self.seen: set[OptionPath] = set()
        self.best: list[float] = []

    @property
    def is_spent(self) -> bool:
        """Whether the budget is used up."""
        return len(self.best) >= self.budget

    def pay(self, path: OptionPath) -> float:
        """Execute a stage run and note its end; a schedule that diverged in it has no loss."""
        self.seen.add(path)
        loss = self.table.losses[path]
        last = self.best[-1] if self.best else np.inf
        is_end = len(path) == self.table.stages and loss < DIVERGED_NATS
        self.best.append(min(last, loss) if is_end else last)
        return loss

    def run_cached(self, path: OptionPath) -> int:
        """Execute what a schedule lacks, up to a stage that diverges; returns the number of stage runs."""
        before = len(self.best)
        for length in range(1, len(path) + 1):
            if path[:length] not in self.seen and not self.is_spent:
                self.pay(path[:length])
            if self.table.losses[path[:length]] >= DIVERGED_NATS:
                break
        return len(self.best) - before

    def curve(self) -> Curve:
        """The best losses; the median of the table stands in before the first schedule has ended."""
        row = np.array((self.best + [self.best[-1]] * self.budget)[: self.budget])
        return np.where(np.isfinite(row), row, self.table.median_loss)


class AshaReplay:
    """Ray's AsyncHyperBandScheduler with a rung at every boundary: stops what is below its cutoff."""

    def __init__(self, reduction_factor: int) -> None:
        self._factor = reduction_factor
        self._rungs: dict[int, list[float]] = {}

    def stops(self, stage: int, loss: float) -> bool:
        """Judge a loss against those recorded before it, then record it."""
        recorded = self._rungs.setdefault(stage, [])
        rewards = [-other for other in recorded]
        cutoff = np.percentile(rewards, (1 - 1 / self._factor) * 100) if rewards else None
        recorded.append(loss)
        return cutoff is not None and -loss < cutoff


def reference_curve(table: StageTable, budget: int, seed: int, *, reduction_factor: int) -> Curve:
    """OptunaSearch (TPE) and ASHA, one trial at a time; a stopped one is told with its last loss."""
    space, ledger, asha = TableSpace(table), Ledger(table, budget), AshaReplay(reduction_factor)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    while not ledger.is_spent:
        trial = study.ask()
        path = space(OptunaSuggest(trial))
        loss = np.nan
        for stage in range(1, table.stages + 1):
            if ledger.is_spent:
                break
            loss = ledger.pay(path[:stage])
            if loss >= DIVERGED_NATS or (stage < table.stages and asha.stops(stage, loss)):
                break
            trial.report(loss, stage)
        study.tell(trial, loss)
    return ledger.curve()


def local_curve(table: StageTable, budget: int, seed: int) -> Curve:
    """Local search with a cache: change one stage of the best schedule; a random schedule now and then."""
    rng, ledger = np.random.default_rng(seed), Ledger(table, budget)
    num_options, idle = len(table.options), 0
    best: OptionPath = tuple(rng.integers(num_options, size=table.stages).tolist())
    ledger.run_cached(best)
    while not ledger.is_spent and idle < MOST_IDLE_PROPOSALS:
        stage, option = int(rng.integers(table.stages)), int(rng.integers(num_options))
        path = (*best[:stage], option, *best[stage + 1 :])
        if idle % 50 == 49:
            path = tuple(rng.integers(num_options, size=table.stages).tolist())
        idle = 0 if ledger.run_cached(path) else idle + 1
        if table.losses[path] < table.losses[best]:
            best = path
    return ledger.curve()


def optuna_curve(table: StageTable, budget: int, seed: int, *, sampler: str) -> Curve:
    """One of Optuna's samplers with a cache: what a schedule shares with earlier ones costs nothing."""
    space, ledger = TableSpace(table), Ledger(table, budget)
    made = optuna.samplers.TPESampler(seed=seed, multivariate=True) if sampler == "optuna-tpe" else _gp(seed)
    study = optuna.create_study(sampler=made)
    for _ in range(MOST_OPTUNA_TRIALS[sampler]):
        trial = study.ask()
        path = space(OptunaSuggest(trial))
        ledger.run_cached(path)
        if ledger.is_spent or ledger.best[-1] <= table.best_loss:
            break
        study.tell(trial, table.losses[path])
    return ledger.curve()


def _gp(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.GPSampler(seed=seed, deterministic_objective=True, warn_independent_sampling=False)


def simulated_curve(table: StageTable, budget: int, seed: int, *, searcher: str) -> Curve:
    """One of our searchers through the real controller."""
    what = Simulation(searcher=searcher, budget_stage_runs=budget, seed=seed, ends_at_best=True)
    found = simulate(table, what)
    row = [table.median_loss if step.best_loss is None else step.best_loss for step in found.curve]
    return np.array(row)


@dataclass(frozen=True)
class Runs:
    """Searches of one table, seed by seed; with a folder they are kept, so that an interrupted run goes on.

    Attributes:
        table: The table.
        budget: Stage runs of a search.
        num_seeds: Seeds of every searcher that `seeds_of` does not name.
        seeds_of: Seeds of slow searchers, by name.
        folder: Where curves are kept; curves of searchers that have changed since are to be deleted by hand.
    """

    table: StageTable
    budget: int
    num_seeds: int
    seeds_of: Mapping[str, int]
    folder: Path | None = None

    def of(self, name: str) -> Curves:
        """Curves of a searcher over the seeds."""
        file = None if self.folder is None else self.folder / f"{self.table.name}-{self.budget}-{name}.json"
        found: list[list[float]] = json.loads(file.read_text()) if file is not None and file.exists() else []
        wanted = self.seeds_of.get(name, self.num_seeds)
        for seed in range(len(found), wanted):
            found.append([round(float(value), 6) for value in self._curve(name, seed)])
            if file is not None:
                file.write_text(json.dumps(found))
        print(f"{self.table.name}: {name} done", file=sys.stderr, flush=True)
        return np.array(found[:wanted])

    def reference(self) -> tuple[str, Curves]:
        """The better reduction factor by its mean at the budget."""
        found = {factor: self.of(f"{REFERENCE}{factor}") for factor in REDUCTION_FACTORS}
        factor = min(found, key=lambda one: float(found[one][:, -1].mean()))
        return f"tpe+asha, reduction factor {factor}", found[factor]

    def _curve(self, name: str, seed: int) -> Curve:
        if name.startswith(REFERENCE):
            factor = int(name.removeprefix(REFERENCE))
            return reference_curve(self.table, self.budget, seed, reduction_factor=factor)
        if name.startswith(OPTUNA):
            return optuna_curve(self.table, self.budget, seed, sampler=name)
        if name == "local":
            return local_curve(self.table, self.budget, seed)
        return simulated_curve(self.table, self.budget, seed, searcher=name)


def first_at(curve: Curve, target: float) -> int | None:
    """Stage runs after which a mean curve is first at or below a target; None if never."""
    reached = np.flatnonzero(curve <= target + 1e-9)
    return int(reached[0]) + 1 if reached.size else None


def cost_ratio(ours: Curve, other: Curve) -> float:
    """Cost of the other to reach its final mean, divided by ours to reach the same.

    What the other spends behind the stage run that brought it there does not count. Where ours does not reach
    it, the inverse: ours to our final mean against what the other needs for it.

    Args:
        ours: Mean curve.
        other: Mean curve of the same length.
    """
    budget = len(ours)
    mine = first_at(ours, float(other[-1]))
    if mine is not None:
        return (first_at(other, float(other[-1])) or budget) / mine
    return (first_at(other, float(ours[-1])) or budget) / (first_at(ours, float(ours[-1])) or budget)


def with_interval(ours: Curves, other: Curves) -> dict[str, float]:
    """The ratio of the mean curves with a 95 % interval by bootstrap over seeds."""
    rng = np.random.default_rng(0)
    resampled = [
        cost_ratio(
            ours[rng.integers(len(ours), size=len(ours))].mean(axis=0),
            other[rng.integers(len(other), size=len(other))].mean(axis=0),
        )
        for _ in range(NUM_RESAMPLES)
    ]
    low, high = np.quantile(resampled, [0.025, 0.975])
    mean = cost_ratio(ours.mean(axis=0), other.mean(axis=0))
    return {"mean": round(mean, 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def rows(curves: Curves) -> list[list[float]]:
    """`[stage runs, mean, standard deviation]` behind every stage run."""
    spread = curves.std(axis=0, ddof=1) if len(curves) > 1 else np.zeros(curves.shape[1])
    return [
        [index + 1, round(float(mean), 6), round(float(sd), 6)]
        for index, (mean, sd) in enumerate(zip(curves.mean(axis=0), spread, strict=True))
    ]


def measure(runs: Runs, searchers: Sequence[str]) -> dict[str, object]:
    """Run everything on one table and compare."""
    table = runs.table
    reference, reference_found = runs.reference()
    found = {name: runs.of(name) for name in searchers}
    first, *peers = searchers
    return {
        "schema": "mbo-search/search-cost/2",
        "table": table.name,
        "budget": runs.budget,
        "seeds": runs.num_seeds,
        "seeds_of": {name: len(curves) for name, curves in found.items()},
        "reference": reference,
        "best_possible": table.best_loss,
        "curves": {"reference": rows(reference_found)} | {name: rows(curves) for name, curves in found.items()},
        "cost_ratio": {name: with_interval(curves, reference_found) for name, curves in found.items()},
        "against_peers": {peer: with_interval(found[first], found[peer]) for peer in peers if peer != first},
    }


def cross_check(table: StageTable, *, num_seeds: int, budget: int) -> dict[str, object]:
    """The reference through real Ray beside its replay: mean best loss at the budget, for each reduction factor."""
    found: dict[str, object] = {}
    for factor in REDUCTION_FACTORS:
        seeds = range(num_seeds)
        replayed = [float(reference_curve(table, budget, seed, reduction_factor=factor)[-1]) for seed in seeds]
        real = [ray_best(table, budget, seed, reduction_factor=factor) for seed in seeds]
        found[f"reduction factor {factor}"] = {
            "ray": round(statistics.fmean(real), 4),
            "replay": round(statistics.fmean(replayed), 4),
            "ray_seeds": real,
            "replay_seeds": replayed,
        }
    return {"schema": "mbo-search/search-cost-cross-check/1", "table": table.name, "budget": budget} | found


class PathSpace:
    """The space of a table as OptunaSearch wants it; Ray pickles it, so it is no closure."""

    def __init__(self, table: StageTable) -> None:
        self._space = TableSpace(table)

    def __call__(self, trial: optuna.Trial) -> dict[str, list[int]]:
        """Choose a schedule."""
        return {"path": list(self._space(OptunaSuggest(trial)))}


def ray_best(table: StageTable, budget: int, seed: int, *, reduction_factor: int) -> float:
    """The best loss that real Ray Tune with OptunaSearch and ASHA finds for a budget."""
    import tempfile

    from ray import tune
    from ray.tune.schedulers import AsyncHyperBandScheduler
    from ray.tune.search.optuna import OptunaSearch

    losses, stages = table.losses, table.stages
    runs: list[tuple[int, float]] = []

    def train(config: dict[str, list[int]]) -> None:
        for stage in range(1, stages + 1):
            tune.report({"loss": losses[tuple(config["path"][:stage])], "stage": stage})

    class Meter(tune.Stopper):
        def __call__(self, trial_id: str, result: dict) -> bool:
            runs.append((int(result["stage"]), float(result["loss"])))
            return False

        def stop_all(self) -> bool:
            return len(runs) >= budget

    asha = AsyncHyperBandScheduler(
        time_attr="stage", metric="loss", mode="min", max_t=stages, reduction_factor=reduction_factor
    )
    for bracket in asha._brackets:
        bracket._rungs = [(stage, {}) for stage in range(stages - 1, 0, -1)]
    with tempfile.TemporaryDirectory() as folder:
        tune.Tuner(
            tune.with_resources(train, {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(PathSpace(table), metric="loss", mode="min", seed=seed),
                scheduler=asha,
                num_samples=budget,
                max_concurrent_trials=1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, stop=Meter()),
        ).fit()
    return min(loss for stage, loss in runs[:budget] if stage == stages)


def text(found: dict[str, object]) -> str:
    """The comparison for people."""
    lines = [f"{found['table']}: best possible {found['best_possible']:.4f}, reference {found['reference']}"]
    marks = [mark for mark in (30, 36, 48, 60, 90, 120, 180) if mark <= found["budget"]]
    lines.append(f"{'mean best at':14s}" + "".join(f"{mark:>9d}" for mark in marks) + "   cost ratio")
    for name, curve in found["curves"].items():
        ratio = found["cost_ratio"].get(name)
        shown = "" if ratio is None else f"   {ratio['mean']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"
        lines.append(f"{name:14s}" + "".join(f"{curve[mark - 1][1]:9.4f}" for mark in marks) + shown)
    for name, ratio in found["against_peers"].items():
        lines.append(f"against {name}: {ratio['mean']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]")
    return "\n".join(lines)


def main() -> None:
    """Measure one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--searcher", action="append", help="the first is compared with the others", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--seeds-of", action="append", default=[], metavar="NAME=SEEDS", help="for slow ones")
    parser.add_argument("--keep", type=Path, default=None, help="folder that keeps finished searches")
    parser.add_argument("--out", type=Path, default=None, help="file for the JSON document")
    parser.add_argument("--budget", type=int, default=180, help="stage runs")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--cross-check", action="store_true", help="run the reference through real Ray as well")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    table = read_stage_table(arguments.table)
    if arguments.cross_check:
        print(json.dumps(cross_check(table, num_seeds=arguments.seeds, budget=arguments.budget), indent=1))
        return
    searchers = arguments.searcher or ["tree", *PEERS]
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    seeds_of = {name: int(seeds) for name, seeds in (pair.split("=") for pair in arguments.seeds_of)}
    found = measure(Runs(table, arguments.budget, arguments.seeds, seeds_of, arguments.keep), searchers)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(found) + "\n", encoding="utf-8")
    print(json.dumps(found) if arguments.json else text(found))


if __name__ == "__main__":
    main()
