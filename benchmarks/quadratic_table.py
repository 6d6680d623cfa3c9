"""Stage tables out of a noisy quadratic model: no training, milliseconds, and greedy search fails on them.

    python benchmarks/quadratic_table.py --stages 3 --options 12 --seed 0 -o table.json

Each direction of a quadratic loss has a curvature and gradient noise; means and variances of the weights are
known in closed form (Zhang et al. 2019, arXiv:1907.04164). A strategy is a preconditioner (a power of the
curvature) and a rate. High rates move fast and end noisy until the last stage anneals them. For developing search
methods; nothing that is claimed of real training rests on these tables.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mbo_search.system.files import write_json

DIRECTIONS = 64
STEPS = 150
DIVERGED = 20.0
POWERS = {"sgd": 0.0, "adamw": 0.5, "muon": 0.8, "lion": 0.4}
RATES = (0.2, 1.0, 5.0)
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class State:
    """Mean and variance of the weights in every direction."""

    mean: Vector
    variance: Vector


@dataclass(frozen=True)
class Strategy:
    """A preconditioned gradient descent.

    Attributes:
        name: What it is called.
        preconditioner: Factor of the gradient in every direction.
        rate: Learning rate.
        relative: The rate relative to the middle one of its kind.
    """

    name: str
    preconditioner: Vector
    rate: float
    relative: float


class Quadratic:
    """A problem and its strategies."""

    def __init__(self, num_options: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.curvature = np.geomspace(1.0, 10 ** rng.uniform(-4.5, -3.0), DIRECTIONS)
        self.noise = self.curvature ** rng.uniform(0.7, 1.1) * 10 ** rng.uniform(0.0, 1.2)
        scale = self.curvature ** rng.uniform(-0.7, -0.4)
        self.start = State(scale * np.sqrt(6.0 / np.sum(self.curvature * scale**2)), np.zeros(DIRECTIONS))
        names = itertools.cycle(POWERS)
        chosen = [(next(names), RATES[index // len(POWERS) % len(RATES)]) for index in range(num_options)]
        self.options = [self._strategy(name, relative, rng) for name, relative in sorted(chosen)]

    def _strategy(self, name: str, relative: float, rng: np.random.Generator) -> Strategy:
        blur = np.exp(0.2 * rng.standard_normal(DIRECTIONS))
        preconditioner = self.curvature ** -POWERS[name] * blur
        steepest = float((self.curvature * preconditioner).max())
        return Strategy(
            name, preconditioner, 0.12 * relative / steepest * np.exp(0.3 * rng.standard_normal()), relative
        )

    def run(self, state: State, strategy: Strategy, *, is_last: bool) -> tuple[State, float, float]:
        """Train a stage; returns the state, its loss, and the loss of the weights' mean over the last third."""
        mean, variance = state.mean, state.variance
        total, spread, shared = np.zeros(DIRECTIONS), np.zeros(DIRECTIONS), np.zeros(DIRECTIONS)
        window = STEPS // 3
        for step in range(STEPS):
            rate = strategy.rate * (1 - step / STEPS if is_last else min(1.0, (step + 1) / 8))
            keep = 1 - rate * strategy.preconditioner * self.curvature
            mean = keep * mean
            variance = keep**2 * variance + (rate * strategy.preconditioner) ** 2 * self.noise
            if step >= STEPS - window:
                shared = keep * shared
                spread = spread + 2 * shared + variance
                shared = shared + variance
                total = total + mean
        averaged = self.loss(State(total / window, spread / window**2))
        after = State(mean, variance)
        return after, self.loss(after), averaged

    def loss(self, state: State) -> float:
        """Expected loss above that of the best weights, on top of 2 nats."""
        value = 2.0 + 0.5 * float(np.sum(self.curvature * (state.mean**2 + state.variance)))
        return value if np.isfinite(value) and value < DIVERGED else DIVERGED


def table_of(stages: int, num_options: int, seed: int) -> dict[str, object]:
    """Every schedule of a problem."""
    problem = Quadratic(num_options, seed)
    losses: dict[str, list[float]] = {}

    def grow(state: State, path: tuple[int, ...]) -> None:
        for index, strategy in enumerate(problem.options):
            after, loss, averaged = problem.run(state, strategy, is_last=len(path) == stages - 1)
            here = (*path, index)
            if len(here) == stages:
                averaged = loss
            losses[",".join(map(str, here))] = [round(loss, 5), round(averaged, 5)]
            if len(here) < stages:
                grow(after, here)

    grow(problem.start, ())
    return {
        "schema": "mbo-search/stage-table/1",
        "name": f"quadratic-{stages}x{num_options}-{seed}",
        "stages": stages,
        "tokens_per_stage": STEPS,
        "options": [
            {"optimizer": one.name, "lr": one.rate, "lr_relative": one.relative} for one in problem.options
        ],
        "seeds": [seed],
        "fields": ["loss", "averaged_loss"],
        "loss": losses,
    }


def main() -> None:
    """Write one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", type=int, default=3)
    parser.add_argument("--options", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    write_json(arguments.out, table_of(arguments.stages, arguments.options, arguments.seed))


if __name__ == "__main__":
    main()
