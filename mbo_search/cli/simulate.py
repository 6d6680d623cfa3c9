"""`simulate` and `tree`: which searcher suits a table, and what a run's stage tree looks like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mbo_search.api.tables import table as text_table
from mbo_search.cli.console import CommandResult
from mbo_search.errors import command_line


def simulate_search(file: Path, searchers: Sequence[str], *, budget: int, slots: int, seeds: int) -> CommandResult:
    """Search a stage table in simulated time.

    Raises:
        UserError: If the file is not a table or a searcher has no such name.
    """
    from mbo_search.engine.simulation.simulate import Simulation, simulate
    from mbo_search.engine.simulation.stage_table import read_stage_table
    from mbo_search.errors import Problem, StudyError
    from mbo_search.study.catalogue.searchers import SEARCHERS

    unknown = [name for name in searchers if name not in SEARCHERS]
    if unknown:
        raise StudyError(
            [
                Problem(key="--searcher", value=name, rule=f"must be one of {', '.join(SEARCHERS)}")
                for name in unknown
            ]
        )
    table = read_stage_table(file)
    found = [
        simulate(table, Simulation(searcher=name, budget_stage_runs=budget, seed=seed, slots=slots))
        for name in searchers
        for seed in range(seeds)
    ]
    rows = []
    for name in searchers:
        own = [search for search in found if search.searcher == name]
        regrets = [search.regret for search in own if search.regret is not None]
        mean = f"{sum(regrets) / len(regrets):.4f}" if regrets else "none finished"
        rows.append((name, mean, f"{sum(search.hours for search in own) / len(own):.0f}"))
    return CommandResult(
        schema="mbo-search/simulation/1",
        document={
            "table": table.name,
            "best_loss": table.best_loss,
            "searches": [search.model_dump(mode="json") for search in found],
        },
        text=[
            f"{table.name}: {budget} stage runs, {slots} at once, {seeds} seeds",
            text_table(["searcher", "nats above the best", "time in stage runs"], rows),
        ],
        next=f"search with one of them: {_use(min(rows, key=lambda row: row[1])[0])}",
        brief=", ".join(f"{name} {mean}" for name, mean, _ in rows),
    )


def _use(searcher: str) -> str:
    return command_line("run", "--example", "quickstart", "--set", f"search.searcher={searcher}")


def show_tree(folder: Path) -> CommandResult:
    """Draw the stage tree of a run: what was trained once and used by how many trials.

    Raises:
        UserError: If it is not a run directory.
    """
    from mbo_search.engine.tree_listing import stage_tree
    from mbo_search.results.records.run_directory import RunDirectory

    nodes = stage_tree(RunDirectory.open(folder).records())
    lines = [
        f"{'  ' * node.depth}{node.label}  loss {node.loss:.4f}, {node.trials} trial{'s' * (node.trials != 1)}"
        for node in nodes
    ]
    return CommandResult(
        schema="mbo-search/tree/1",
        document={"nodes": [node.model_dump(mode="json") for node in nodes]},
        text=["untrained", *(f"  {line}" for line in lines)],
        next=f"see it drawn: {command_line('report', folder)}",
        brief=f"{len(nodes)} nodes",
    )
