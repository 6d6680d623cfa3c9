"""The way from `mbo-search run` to an optimizer step: run a tiny study and print the frames of the package on it.

The command is run in this process, on the local backend, to its end; each distinct way to a step is counted. The
part from the worker on is what a reader of training has to walk through, whatever backend feeds the worker.
"""

from __future__ import annotations

import collections
import contextlib
import io
import sys
import tempfile
from pathlib import Path
from types import FrameType

import mbo_search
from mbo_search.cli.app import main
from mbo_search.optim.staged import StageOptimizer

_PACKAGE = Path(mbo_search.__file__).parent
_WORKER = "engine/backends/worker.py"
_STUDY = """\
study: frames
data: {source: [texts/], tokenizer: {kind: bytes}, dedup: none, validation_share: 0.15}
model: {layers: 1, width: 16, heads: 2, context: 16}
budget: {tokens: 1280, grid: 0.1}
train: {batch_tokens: 64, micro_batch: 4, precision: float32, threads: 1, device: cpu}
evaluation: {tokens: 256, points: 2}
stages: [{name: only, share: 1.0, optimizer: adamw, lr: {relative: [0.5, 1.0]}, lr_shape: linear}]
search: {searcher: random, trials: 2}
resources: {workers: 1}
"""

Way = tuple[tuple[str, str], ...]
"""File and function of each frame of the package, from the command line inward."""


def ways_to_a_step() -> collections.Counter[Way]:
    """Run a tiny study and count the ways to an optimizer step."""
    ways: collections.Counter[Way] = collections.Counter()
    step = StageOptimizer.step

    def noted(optimizer: StageOptimizer) -> None:
        ways[_way(sys._getframe(1))] += 1
        step(optimizer)

    StageOptimizer.step = noted  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as folder:
            _run(Path(folder))
    finally:
        StageOptimizer.step = step  # type: ignore[method-assign]
    return ways


def _run(folder: Path) -> None:
    (folder / "texts").mkdir()
    for number in range(60):
        words = " ".join(f"word{number * place % 97}" for place in range(1, 60))
        (folder / "texts" / f"{number:02d}.txt").write_text(words + "\n")
    (folder / "study.yaml").write_text(_STUDY)
    arguments = ["run", str(folder / "study.yaml"), "--out", str(folder / "run"), "--backend", "local"]
    sys.argv = ["mbo-search", *arguments]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        main()
    if not (folder / "run" / "ranking.json").exists():
        raise SystemExit(f"the study did not run to its end:\n{said.getvalue()}")


def _way(frame: FrameType | None) -> Way:
    found: list[tuple[str, str]] = []
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(_PACKAGE):
            found.append((path.relative_to(_PACKAGE).as_posix(), frame.f_code.co_qualname))
        frame = frame.f_back
    return (*reversed(found), ("optim/staged.py", "StageOptimizer.step"))


def _print(way: Way, steps: int) -> None:
    entered = [file for file, _ in way]
    first = entered.index(_WORKER) if _WORKER in entered else 0
    print(f"{steps} optimizer steps through {len(way)} frames in {len(set(entered))} files")
    print(f"from the worker on: {len(way) - first} frames in {len(set(entered[first:]))} files")
    for number, (file, function) in enumerate(way, start=1):
        print(f"{number:4d}  {file:40s} {function}")


if __name__ == "__main__":
    for found, count in ways_to_a_step().most_common():
        _print(found, count)
