"""How often the verdict's test errs, what it finds and how many seeds it takes, on simulated confirmations.

    python benchmarks/verdict_simulation.py --sd-nats 0.0086

Three ways to judge the same differences are compared: one t test at a number of seeds fixed in advance, the same t
test repeated after every seed until it says yes, and the sequential test of
`mbo_search.results.statistics.sequential`.
Nothing is trained. Takes about two minutes on one core; prints tables and writes them as JSON.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mbo_search.results.statistics.documents import DocumentDifferences
from mbo_search.results.statistics.paired import FEWEST_SEEDS, nats_of_percent
from mbo_search.results.statistics.sequential import (
    PLANNED_LOOKS,
    SequentialTest,
    decide,
    sequential_test,
    spending_of,
)
from mbo_search.system.files import write_json

MOST_SEEDS = 60
NUM_ROUNDS = 6
NUM_DOCUMENTS = 80
PERCENTS = (0.5, 1.0, 2.0)
FIXED_TAIL = 0.025
"""One side of a two-sided test at 5 %: only a difference of the right sign is a yes."""

FIRST = spending_of(1)

Numbers = NDArray[np.float64]
Draw = Callable[[np.random.Generator], Numbers]
Table = dict[str, dict[str, float]]

DRAWS: Mapping[str, Draw] = {
    "normal": lambda rng: rng.standard_normal(MOST_SEEDS),
    "heavy tails (t with 5 degrees)": lambda rng: rng.standard_t(5, MOST_SEEDS),
    "two values": lambda rng: rng.choice([-1.0, 1.0], MOST_SEEDS),
    "skewness -0.5": lambda rng: (16 - rng.gamma(16, size=MOST_SEEDS)) / 4,
    "skewness -1": lambda rng: (4 - rng.gamma(4, size=MOST_SEEDS)) / 2,
    "skewness +1": lambda rng: (rng.gamma(4, size=MOST_SEEDS) - 4) / 2,
}


@dataclass(frozen=True)
class Simulation:
    """How much to simulate.

    Attributes:
        sd_nats: Standard deviation of the differences over seeds.
        num_studies: Of each kind.
        seed: Of all draws.
    """

    sd_nats: float
    num_studies: int
    seed: int

    def samples(self, draw: Draw, mean_nats: float) -> list[Numbers]:
        """Differences of many studies, 60 seeds each."""
        rng = np.random.default_rng(self.seed)
        return [mean_nats + self.sd_nats * draw(rng) for _ in range(self.num_studies)]

    def crossed(self, document_sd: float) -> list[DocumentDifferences]:
        """The same by documents of unequal length, which have effects of their own; the true mean is 0."""
        rng = np.random.default_rng(self.seed)
        return [self._crossed(rng, document_sd) for _ in range(self.num_studies)]

    def _crossed(self, rng: np.random.Generator, document_sd: float) -> DocumentDifferences:
        tokens = np.maximum(20, rng.lognormal(6.0, 0.7, NUM_DOCUMENTS)).astype(int)
        cells = self.sd_nats * rng.standard_normal((MOST_SEEDS, 1))
        cells = cells + document_sd * rng.standard_normal((1, NUM_DOCUMENTS))
        cells = cells + self.sd_nats * rng.standard_normal((MOST_SEEDS, NUM_DOCUMENTS)) * np.sqrt(400 / tokens)
        return DocumentDifferences(tuple(tokens.tolist()), tuple(map(tuple, (cells * tokens).tolist())))


def running_t(sample: Numbers) -> Numbers:
    """The t statistic after every seed from the sixth on; 0 where the differences are all equal."""
    counts = np.arange(1, sample.size + 1)
    means = np.cumsum(sample) / counts
    squares = np.maximum(0.0, np.cumsum(sample**2) - counts * means**2)[FEWEST_SEEDS - 1 :]
    counts, means = counts[FEWEST_SEEDS - 1 :], means[FEWEST_SEEDS - 1 :]
    rounding = 1e-12 * counts * float(np.max(np.abs(sample))) ** 2
    spread = squares > rounding
    errors = np.sqrt(np.where(spread, squares, 1.0) / (counts - 1) / counts)
    return np.where(spread, means / errors, 0.0)


CRITICAL = stats.t.isf(FIXED_TAIL, np.arange(FEWEST_SEEDS, MOST_SEEDS + 1) - 1)


def fixed_power(effect_sd: float, num_seeds: int) -> float:
    """Probability that one t test at so many seeds finds an effect, with the right sign."""
    critical = stats.t.isf(FIXED_TAIL, num_seeds - 1)
    return float(stats.nct.sf(critical, num_seeds - 1, effect_sd * math.sqrt(num_seeds)))


def false_yes(simulation: Simulation) -> Table:
    """Shares of studies without a difference that say yes."""
    found = {name: _false_yes(simulation.samples(draw, 0.0)) for name, draw in DRAWS.items()}
    for factor in (1, 5):
        name = f"normal, documents differ {factor}x as much as seeds"
        found[name] = _false_yes_on_documents(simulation.crossed(factor * simulation.sd_nats))
    return found


def _false_yes(samples: list[Numbers]) -> dict[str, float]:
    passed = np.array([running_t(sample) > CRITICAL for sample in samples])
    tests = [sequential_test(sample.tolist(), spending=FIRST) for sample in samples]
    return _row(passed, tests)


def _false_yes_on_documents(studies: list[DocumentDifferences]) -> dict[str, float]:
    passed = np.array([running_t(np.array(one.seed_means)) > CRITICAL for one in studies])
    return _row(passed, [sequential_test(one.seed_means, documents=one, spending=FIRST) for one in studies])


def _row(passed: NDArray[np.bool_], tests: list[SequentialTest]) -> dict[str, float]:
    return {
        "fixed test, 6 seeds": float(passed[:, 0].mean()),
        "fixed test, 24 seeds": float(passed[:, 24 - FEWEST_SEEDS].mean()),
        "t after every seed": float(passed.any(axis=1).mean()),
        "sequential": float(np.mean([test.better_at is not None for test in tests])),
    }


def false_yes_over_rounds(simulation: Simulation) -> Table:
    """Shares of studies that say yes in any round so far, each with another pair that does not differ."""
    rng = np.random.default_rng(simulation.seed + 1)
    shares = {}
    said = np.zeros(simulation.num_studies, dtype=bool)
    for number in range(1, NUM_ROUNDS + 1):
        samples = rng.standard_normal((simulation.num_studies, MOST_SEEDS)).tolist()
        tests = [sequential_test(sample, spending=spending_of(number)) for sample in samples]
        said |= np.array([test.better_at is not None for test in tests])
        shares[f"{number} round{'s' if number > 1 else ''}"] = {"sequential": float(said.mean())}
    return shares


def power(simulation: Simulation) -> Table:
    """Shares that have said yes by a planned look, against one fixed test at that look."""
    found: Table = {}
    for percent in PERCENTS:
        mean_nats = nats_of_percent(percent)
        effect = mean_nats / simulation.sd_nats
        tests = _tests(simulation.samples(DRAWS["normal"], mean_nats))
        at = np.array([test.better_at or math.inf for test in tests])
        for look in PLANNED_LOOKS:
            fixed, ours = fixed_power(effect, look), float(np.mean(at <= look))
            row = {"effect_sd": effect, "fixed test": fixed, "sequential": ours, "ratio": ours / fixed}
            found[f"{percent} %, {look} seeds"] = row
    return found


def _tests(samples: list[Numbers]) -> list[SequentialTest]:
    return [sequential_test(sample.tolist(), spending=FIRST) for sample in samples]


def seeds_until_yes(simulation: Simulation) -> Table:
    """Mean seeds when stopping at the first yes, and the seeds of a fixed test that says yes as often."""
    found: Table = {}
    for percent in PERCENTS:
        mean_nats = nats_of_percent(percent)
        tests = _tests(simulation.samples(DRAWS["normal"], mean_nats))
        at = np.array([test.better_at or math.inf for test in tests])
        for most in PLANNED_LOOKS[1:]:
            share, mean = float(np.mean(at <= most)), float(np.clip(at, FEWEST_SEEDS, most).mean())
            fixed = _fixed_seeds(mean_nats / simulation.sd_nats, min(share, 0.999))
            row = {"share of yes": share, "mean seeds": mean, "fixed test": fixed, "ratio": mean / fixed}
            found[f"{percent} %, at most {most} seeds"] = row
    return found


def _fixed_seeds(effect_sd: float, share: float) -> float:
    return float(next(count for count in range(FEWEST_SEEDS, 10_000) if fixed_power(effect_sd, count) >= share))


def answers(simulation: Simulation) -> Table:
    """Shares of answers at the planned looks where half a percent is worth having."""
    found: Table = {}
    for percent in (-0.5, 0.0, *PERCENTS):
        samples = simulation.samples(DRAWS["normal"], nats_of_percent(percent))
        for look in PLANNED_LOOKS:
            given = [decide(sequential_test(sample[:look].tolist(), spending=FIRST)) for sample in samples]
            shares = {answer: given.count(answer) / len(given) for answer in ("yes", "no", "undecided")}
            found[f"{percent} %, {look} seeds"] = shares
    return found


def coverage(simulation: Simulation) -> Table:
    """Shares of studies in which the intervals after all seeds up to the 60th cover the truth, every single one."""
    found: Table = {}
    for name, draw in DRAWS.items():
        samples = simulation.samples(draw, 0.0)
        students = np.array([np.all(np.abs(running_t(sample)) <= CRITICAL) for sample in samples])
        found[name] = {"t after every seed": float(students.mean()), "sequential": _covered(_tests(samples))}
    crossed = simulation.crossed(5 * simulation.sd_nats)
    tests = [sequential_test(one.seed_means, documents=one, spending=FIRST) for one in crossed]
    found["normal, documents differ 5x as much as seeds"] = {"sequential": _covered(tests)}
    return found


def _covered(tests: list[SequentialTest]) -> float:
    return float(np.mean([_covers_zero(test) for test in tests]))


def _covers_zero(test: SequentialTest) -> bool:
    assert test.low_nats is not None, "sixty seeds give an interval"
    assert test.high_nats is not None, "sixty seeds give an interval"
    return test.low_nats <= 0 <= test.high_nats


def show(title: str, table: Table) -> None:
    """Print a table."""
    print(f"\n{title}")
    for name, row in table.items():
        print(f"  {name:48}" + "".join(f"  {key} {value:.3f}" for key, value in row.items()))


def main() -> None:
    """Simulate, print, and write."""
    parser = argparse.ArgumentParser(description="How often the verdict's test errs and what it finds")
    parser.add_argument("--sd-nats", type=float, default=0.0086, help="spread over seeds [0.0086]")
    parser.add_argument("--studies", type=int, default=2000, help="of each kind [2000]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results/verdict-simulation.json"))
    given = parser.parse_args()
    simulation = Simulation(given.sd_nats, given.studies, given.seed)
    parts: dict[str, Callable[[Simulation], Table]] = {
        "false_yes": false_yes,
        "false_yes_over_rounds": false_yes_over_rounds,
        "power": power,
        "seeds_until_yes": seeds_until_yes,
        "answers": answers,
        "coverage": coverage,
    }
    result: dict[str, Any] = {"sd_nats": given.sd_nats, "studies": given.studies, "seed": given.seed}
    for name, part in parts.items():
        result[name] = part(simulation)
        show(name, result[name])
    write_json(given.output, result)


if __name__ == "__main__":
    main()
