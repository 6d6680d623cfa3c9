"""What a trainer costs that is not ours, beside what it trains: a command, and a Python function.

    python benchmarks/runner_overhead.py [--turns 9] [--seeds 3] [-o FILE]

A command: a span is trained by one that answers at once, and by one that takes half a second; beside each, the same
command is started and waited for without the protocol. The difference is what folders, the request, reading the
report, noticing the end, and the result cost.

A function: it trains a span with the built-in trainer and reports every step, in turns with the built-in trainer
alone. Processor seconds are compared, so that other processes on the machine stay out of it; the ratio of each turn
is one measurement. More exactly: what is done around a function that reports every step and trains nothing, beside
what the built-in trainer takes for the same steps.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mbo_search.data.prepare import PreparedData, prepare
from mbo_search.study.spec.foreign.runner import RunnerSpec
from mbo_search.study.spec.schedule import Schedule, Stage
from mbo_search.study.spec.segments import Segment, cut
from mbo_search.study.study import Study
from mbo_search.train.foreign.call import SpanCall
from mbo_search.train.foreign.command_runner import CommandRunner
from mbo_search.train.foreign.result import SpanResult
from mbo_search.train.foreign.runner import ForeignRunner
from mbo_search.train.setup.resolve import resolve_setup
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.reports import StageRunner

ANSWER = """printf '{"val_loss": 1.0}' > "$MBO_RESULT"; : > "$MBO_STATE_OUT/state\""""
COMMANDS = {"answers at once": ANSWER, "takes 0.5 s": f"sleep 0.5; {ANSWER}"}
STAGE = Stage(name="only", share=1.0, optimizer="adamw", hparams={"beta1": 0.9, "beta2": 0.95}, lr=4e-3)
STEPS, BATCH_TOKENS = 40, 1024


def main() -> None:
    """Measure, print, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", dest="out", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        found = {
            "command": {kind: command(Path(name), words, options.turns) for kind, words in COMMANDS.items()},
            "function": function(Path(name), options.turns, options.seeds),
        }
    print(json.dumps(found, indent=1))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def command(root: Path, script: str, turns: int) -> dict[str, float]:
    """Milliseconds of a span that a command trains: with the protocol, of the bare process, and the difference."""
    runner = RunnerSpec(command=("sh", "-c", script), folder=str(root))
    setup = _foreign_setup(runner)
    trainer = CommandRunner(runner, setup, root / "scratch", 600.0)
    variables = {"MBO_RESULT": str(root / "result.json"), "MBO_STATE_OUT": str(root)}

    def bare() -> None:
        subprocess.run(runner.words, env=os.environ | variables, check=True)

    def whole() -> None:
        folder, ended = trainer.run(None, _segments(setup), 0, lambda: False)
        assert folder is not None, ended.message

    pairs = [(_wall_seconds(bare), _wall_seconds(whole)) for _ in range(turns + 1)][1:]
    differences = sorted(1e3 * (with_it - alone) for alone, with_it in pairs)
    return {
        "span_ms": 1e3 * statistics.median(with_it for _, with_it in pairs),
        "bare_process_ms": 1e3 * statistics.median(alone for alone, _ in pairs),
        "overhead_ms": statistics.median(differences),
        "least_overhead_ms": differences[0],
        "most_overhead_ms": differences[-1],
    }


def function(root: Path, turns: int, seeds: int) -> dict[str, float]:
    """What a function costs beside the built-in trainer, in percent of its processor seconds."""
    from mbo_search.train.torch_runner import TorchStageRunner  # after the commands: a large process forks slowly

    data = _data(root)
    setup = resolve_setup(_study(root), data, workers=1)
    segments = _segments(setup)
    inner = TorchStageRunner(setup, root / "inner", prepared=data)
    outer = ForeignRunner(
        _Wrapped(TorchStageRunner(setup, root / "wrapped", prepared=data), segments), setup, root / "outer"
    )
    ratios = []
    for turn in range(seeds * turns + 2):
        runners = [inner, outer] if turn % 2 else [outer, inner]
        seconds = {
            id(runner): _processor_seconds(_span_of(runner, segments, turn // 2 % seeds)) for runner in runners
        }
        ratios.append(seconds[id(outer)] / seconds[id(inner)])
    percent = [100 * (ratio - 1) for ratio in ratios[2:]]
    mean, deviation = statistics.mean(percent), statistics.stdev(percent)
    bare = [_processor_seconds(_span_of(inner, segments, 0)) for _ in range(3)]
    idle = ForeignRunner(_answer_at_once, setup, root / "idle")
    books = [_processor_seconds(_span_of(idle, segments, 0)) for _ in range(10 * turns)]
    return {
        "steps": STEPS,
        "span_seconds": statistics.median(bare),
        "books_ms": 1e3 * statistics.median(books),
        "books_percent": 100 * statistics.median(books) / statistics.median(bare),
        "turns": len(percent),
        "overhead_percent": mean,
        "standard_error_percent": deviation / len(percent) ** 0.5,
        "median_percent": statistics.median(percent),
    }


class _Wrapped:
    """A function of the kind that users write, around the built-in trainer: it reports every step."""

    def __init__(self, inner: StageRunner, segments: list[Segment]) -> None:
        self._inner = inner
        self._segments = segments

    def __call__(self, call: SpanCall) -> SpanResult:
        steps = iter(range(call.request.first_step, call.request.last_step + 1))

        def stop() -> bool:
            call.report(next(steps, call.request.last_step), train_loss=1.0, grad_norm=1.0)
            return call.should_stop()

        folder, ended = self._inner.run(None, self._segments, call.request.seed, stop)
        assert folder is not None, ended.message
        assert ended.metrics is not None
        folder.rename(call.state_out / "state")
        return SpanResult(val_loss=ended.metrics.loss)


def _answer_at_once(call: SpanCall) -> float:
    """Report every step, and train nothing: what remains is what we do around a function."""
    for step in range(call.request.first_step, call.request.last_step):
        call.report(step + 1, train_loss=1.0, grad_norm=1.0)
        call.should_stop()
    (call.state_out / "state").touch()
    return 1.0


def _span_of(runner: StageRunner, segments: list[Segment], seed: int) -> Callable[[], object]:
    def span() -> None:
        folder, ended = runner.run(None, segments, seed, lambda: False)
        assert folder is not None, ended.message

    return span


def _study(root: Path) -> Study:
    return Study.model_validate(
        {
            "study": "overhead",
            "data": {"source": [str(root / "texts")], "tokenizer": {"kind": "bytes"}, "dedup": "none"},
            "model": {"layers": 2, "width": 96, "heads": 3, "context": 128},
            "budget": {"tokens": STEPS * BATCH_TOKENS, "grid": 0.25},
            "train": {
                "batch_tokens": BATCH_TOKENS,
                "threads": 1,
                "precision": "float32",
                "micro_batch": 8,
                "device": "cpu",
            },
            "evaluation": {"tokens": 10_240, "points": 2},
            "stages": [{"name": "only", "share": 1.0, "optimizer": "adamw"}],
            "search": {"trials": 1},
            "resources": {"workers": 1},
        }
    )


def _foreign_setup(runner: RunnerSpec) -> TrainSetup:
    os.environ["MBO_SEARCH_ALLOW_CODE"] = "1"
    study = {
        "study": "overhead",
        "runner": runner.model_dump(),
        "budget": {"tokens": STEPS * BATCH_TOKENS, "grid": 0.25},
        "train": {"batch_tokens": BATCH_TOKENS},
        "stages": [{"name": "only", "share": 1.0, "optimizer": "adamw"}],
        "search": {"trials": 1},
    }
    return resolve_setup(Study.model_validate(study), None, workers=1)


def _segments(setup: TrainSetup) -> list[Segment]:
    return list(cut(Schedule(stages=(STAGE,)), setup.budget()))


def _data(root: Path) -> PreparedData:
    dice = np.random.default_rng(0)
    words = ["".join(dice.choice(list("etaoinshrdlu"), size=dice.integers(2, 9))) for _ in range(3000)]
    (root / "texts").mkdir()
    for number in range(60):
        (root / "texts" / f"{number}.txt").write_text(" ".join(dice.choice(words, size=1200)))
    return prepare(_study(root).data, root / "cache")


def _wall_seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _processor_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
