"""Compare training blocks of parameters in turn with training them together, on the decoder, at equal tokens.

    python benchmarks/block_cycle.py --cache build/cache -o benchmarks/results/block-cycle.json

Nothing is searched but the learning rate: every arm trains at each of the same rates on one seed, and at its best
one again on fresh seeds. The arms differ in `cycle` alone, but for joint training on a third of the tokens, where a
block takes about as many steps as in turn with two others. Printed and written are the losses at the end, by seed,
and the perplexity of each arm over that of joint training on the same seed. Seconds are of the processor.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from mbo_search.data.prepare import prepare
from mbo_search.results.statistics.paired import paired_test
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.spec.dimensions.cycle import BlockCycle
from mbo_search.study.spec.reference_lr import reference_lr
from mbo_search.study.spec.schedule import LrShape, Schedule, Stage
from mbo_search.study.study import Study
from mbo_search.system.files import write_json
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.setup.resolve import resolve_setup
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.torch_runner import TorchStageRunner

JOINT = "joint"
THIRD = "joint, a third of the tokens"
BLOCKS = ("attention", "mlp", "embeddings")
BATCH_TOKENS = 512
ARMS: Mapping[str, BlockCycle | None] = MappingProxyType(
    {
        JOINT: None,
        "every step": BlockCycle(blocks=BLOCKS, tokens=BATCH_TOKENS),
        "every 10 steps": BlockCycle(blocks=BLOCKS, tokens=10 * BATCH_TOKENS),
        "thaw": BlockCycle(blocks=("embeddings", "attention", "mlp"), tokens=20 * BATCH_TOKENS, mode="thaw"),
    }
)
NAMES = (*ARMS, THIRD)
RELATIVE_LRS = (0.5, 1.0, 2.0, 4.0)
SEARCH_SEED = 0
FRESH_SEEDS = (1, 2, 3, 4, 5, 6)


@dataclass(frozen=True, slots=True)
class Trained:
    """A schedule that was trained.

    Attributes:
        loss: Validation loss at its end, nats.
        seconds: Processor time that it took.
    """

    loss: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train.

    Attributes:
        name: For people.
        search: Loss by relative learning rate, on the seed that chooses it.
        fresh: What the best rate came to, by fresh seed.
    """

    name: str
    search: Mapping[float, float]
    fresh: Mapping[int, Trained]

    @property
    def best_lr(self) -> float:
        """Relative learning rate with the lowest loss on the seed that chooses it."""
        return min(self.search, key=self.search.__getitem__)


def study_of(optimizer: str, tokens: int) -> Study:
    """Describe what every arm trains, but for its blocks and its learning rate."""
    return Study(
        study="block-cycle",
        data={"source": ["docs", "ref"], "tokenizer": {"kind": "bpe", "vocab_size": 1024}, "dedup": "near"},
        model={"layers": 2, "width": 64, "heads": 2, "context": 64},
        budget={"tokens": tokens, "grid": 0.1},
        train={"batch_tokens": BATCH_TOKENS, "micro_batch": 8, "precision": "float32", "threads": 1},
        evaluation={"tokens": 16_384, "points": 1},
        stages=[{"name": "only", "share": 1, "optimizer": optimizer, "lr_shape": "linear"}],
    )


def schedule_of(study: Study, cycle: BlockCycle | None, relative_lr: float) -> Schedule:
    """Make the schedule of an arm: one stage, its rate brought down linearly after a short warm-up."""
    (optimizer,) = (choice.name for choice in study.stages[0].optimizer or ())
    hparams = {name: float(info.default) for name, info in OPTIMIZERS[optimizer].hparams.items()}
    stage = Stage(
        name="only",
        share=1.0,
        optimizer=optimizer,
        hparams=hparams,
        lr=relative_lr * reference_lr(study, optimizer),
        lr_shape=LrShape(kind="linear", hparams={"floor": 0.0}),
        warmup=0.05,
        cycle=cycle,
    )
    return Schedule(stages=(stage,))


def train(setup: TrainSetup, schedule: Schedule, seed: int) -> Trained:
    """Train a schedule; a loss that is not finite counts as infinite."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        path = schedule_path(schedule, setup, seed)
        written, report = TorchStageRunner(setup, Path(folder)).run(None, path.segments, seed, lambda: False)
    loss = math.inf if written is None or report.metrics is None else report.metrics.loss
    return Trained(loss, time.process_time() - began)


def tuned(name: str, optimizer: str, tokens: int, cache: Path) -> Arm:
    """Tune and train an arm."""
    study = study_of(optimizer, tokens // 3 if name == THIRD else tokens)
    setup = resolve_setup(study, prepare(study.data, cache), workers=1)
    schedules = {lr: schedule_of(study, ARMS.get(name), lr) for lr in RELATIVE_LRS}
    search = {lr: train(setup, schedule, SEARCH_SEED).loss for lr, schedule in schedules.items()}
    best = schedules[min(search, key=search.__getitem__)]
    arm = Arm(name, search, {seed: train(setup, best, seed) for seed in FRESH_SEEDS})
    print(f"{name}: {described(arm)}", flush=True)
    return arm


def described(arm: Arm) -> dict[str, object]:
    """Describe an arm as plain values."""
    return {
        "search_losses": {str(lr): loss for lr, loss in arm.search.items()},
        "relative_lr": arm.best_lr,
        "losses": {str(seed): one.loss for seed, one in arm.fresh.items()},
        "seconds": sum(one.seconds for one in arm.fresh.values()) / max(1, len(arm.fresh)),
    }


def against_joint(arms: Sequence[Arm]) -> dict[str, dict[str, object]]:
    """Compare the perplexity of each arm with that of joint training, seed by seed."""
    joint = next((arm for arm in arms if arm.name == JOINT), None)
    found: dict[str, dict[str, object]] = {}
    for arm in arms:
        if joint is not None and arm is not joint:
            more = [arm.fresh[seed].loss - one.loss for seed, one in joint.fresh.items()]
            test = paired_test(more)
            ends = [None if end is None else math.exp(end) for end in (test.low_nats, test.high_nats)]
            ratios = {"ratio": math.exp(test.mean_nats), "low": ends[0], "high": ends[1]}
            found[arm.name] = {**ratios, "by_seed": [math.exp(one) for one in more], "p_value": test.p_value}
    return found


def main() -> None:
    """Train all arms, print and write what they came to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder of prepared data")
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--tokens", type=int, default=102_400)
    parser.add_argument("--arm", nargs="*", choices=NAMES, help="those that are trained; all if left out")
    parser.add_argument("-o", "--out", type=Path, required=True, help="file for the numbers (JSON)")
    arguments = parser.parse_args()
    names = arguments.arm or NAMES
    arms = [tuned(name, arguments.optimizer, arguments.tokens, arguments.cache) for name in names]
    ratios = against_joint(arms)
    for name, ratio in ratios.items():
        print(f"{name}: perplexity over that of joint training {ratio}")
    document = {"arms": {arm.name: described(arm) for arm in arms}, "against_joint": ratios}
    write_json(arguments.out, {"optimizer": arguments.optimizer, "tokens": arguments.tokens, **document})


if __name__ == "__main__":
    main()
