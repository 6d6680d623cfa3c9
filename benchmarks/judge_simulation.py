"""How often `judge` keeps a change that does nothing, and how many seeds it takes to find one that does something.

    python benchmarks/judge_simulation.py

Studies are simulated pair by pair and judged by the function that `mbo-search judge` calls after every pair, with
its own stopping: at the first decision, and where none is in reach any more. The seeds that it takes are compared
with one paired t test (two-sided, at 5 %) at the number of seeds at which it finds as much. Nothing is trained;
takes about four minutes on one core. Prints tables and writes them as JSON.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from mbo_search.judging.decision import PairEvidence, first_final
from mbo_search.judging.pairs import JudgedPair
from mbo_search.judging.question import JudgeQuestion
from mbo_search.system.files import write_json

LOSS = 4.0
SEED_SD = 0.03
"""Spread over seeds that both runs of a pair share."""

FIXED_TAIL = 0.025
BATCHES = 10
"""Parts of the studies whose results tell how sure a number is."""

Numbers = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Numbers]
Row = dict[str, float]

DRAWS: Mapping[str, Draw] = {
    "normal": lambda rng, count: rng.standard_normal(count),
    "heavy tails (t with 5 degrees)": lambda rng, count: rng.standard_t(5, count) / math.sqrt(5 / 3),
    "two values": lambda rng, count: rng.choice([-1.0, 1.0], count),
    "skewness +1": lambda rng, count: (rng.gamma(4, size=count) - 4) / 2,
    "skewness -0.5": lambda rng, count: (16 - rng.gamma(16, size=count)) / 4,
}


def studies(
    draw: Draw, question: JudgeQuestion, *, gain: float, sd: float, rng: np.random.Generator, num_studies: int
) -> list[PairEvidence]:
    """Judge many studies with one true gain, both in units of the metric."""
    return [first_final(_pairs(draw, question, gain, sd, rng), question) for _ in range(num_studies)]


def _pairs(
    draw: Draw, question: JudgeQuestion, gain: float, sd: float, rng: np.random.Generator
) -> list[JudgedPair]:
    baselines = LOSS + SEED_SD * rng.standard_normal(question.max_seeds)
    candidates = baselines - gain - sd * draw(rng, question.max_seeds)
    return [
        JudgedPair(seed=seed, baseline=baseline, candidate=candidate, state="counted")
        for seed, (baseline, candidate) in enumerate(zip(baselines.tolist(), candidates.tolist(), strict=True))
    ]


def shares(found: Sequence[PairEvidence]) -> Row:
    """How often each decision was made, and after how many pairs."""
    decisions = [one.decision for one in found]
    row = {name: decisions.count(name) / len(found) for name in ("keep", "discard", "undecided")}
    return {**row, "futile": sum(one.reason == "futile" for one in found) / len(found), "pairs": mean_pairs(found)}


def mean_pairs(found: Sequence[PairEvidence]) -> float:
    """Mean number of pairs until a judgement stopped."""
    return float(np.mean([len(one.counted) for one in found]))


def false_keep(num_studies: int, seed: int) -> dict[str, Row]:
    """Shares of decisions where the candidate gains nothing, for kinds of noise."""
    rows: dict[str, Row] = {}
    question = JudgeQuestion()
    for name, draw in DRAWS.items():
        for percent in (0.25, 1.0) if name == "normal" else (0.5,):
            rng = np.random.default_rng(seed)
            sd = LOSS * percent / 100
            found = studies(draw, question, gain=0.0, sd=sd, rng=rng, num_studies=num_studies)
            rows[f"{name}, noise {percent} %"] = told(f"{name}, noise {percent} %", shares(found))
    return rows


def seeds_needed(num_studies: int, seed: int) -> dict[str, Row]:
    """Pairs until a judgement stops where there is a gain, over those of a fixed test that finds as much."""
    rows: dict[str, Row] = {}
    question = JudgeQuestion(worthwhile_percent=0.5)
    for effect in (0.5, 0.75, 1.0, 1.25, 1.5, 2.0):
        gain = LOSS * 0.01
        rng = np.random.default_rng(seed)
        found = studies(DRAWS["normal"], question, gain=gain, sd=gain / effect, rng=rng, num_studies=num_studies)
        size = len(found) // BATCHES
        ratios = [_ratio(found[start : start + size], effect) for start in range(0, size * BATCHES, size)]
        power = float(np.mean([one.decision == "keep" for one in found]))
        row = {
            "keep": power,
            "pairs": mean_pairs(found),
            "fixed test": fixed_seeds(effect, power),
            "ratio": _ratio(found, effect),
            "lowest of ten": min(ratios),
            "highest of ten": max(ratios),
        }
        rows[f"gain 1 %, {effect} sd"] = told(f"gain 1 %, {effect} sd", row)
    return rows


def _ratio(found: Sequence[PairEvidence], effect: float) -> float:
    power = float(np.mean([one.decision == "keep" for one in found]))
    return mean_pairs(found) / fixed_seeds(effect, power)


def fixed_seeds(effect_sd: float, power: float) -> float:
    """Seeds, not a whole number, at which one paired t test finds an effect with a probability; at least 3."""

    def missing(num_seeds: float) -> float:
        critical = stats.t.isf(FIXED_TAIL, num_seeds - 1)
        return float(stats.nct.sf(critical, num_seeds - 1, effect_sd * math.sqrt(num_seeds))) - min(power, 0.999)

    return 3.0 if missing(3.0) >= 0 else float(optimize.brentq(missing, 3.0, 5000.0))


def told(name: str, row: Row) -> Row:
    """Print a row of a table, and return it."""
    print(f"  {name:48}" + "".join(f"  {key} {value:.3f}" for key, value in row.items()), flush=True)
    return row


def main() -> None:
    """Simulate, print, and write."""
    parser = argparse.ArgumentParser(description="How often judge errs and how many seeds it takes")
    parser.add_argument("--studies", type=int, default=2000, help="of each kind [2000]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results/judge-simulation.json"))
    given = parser.parse_args()
    parts = {"false_keep": false_keep, "seeds_needed": seeds_needed}
    result: dict[str, Any] = {"studies": given.studies, "seed": given.seed}
    for name, part in parts.items():
        print(f"\n{name}")
        result[name] = part(given.studies, given.seed)
    write_json(given.output, result)


if __name__ == "__main__":
    main()
