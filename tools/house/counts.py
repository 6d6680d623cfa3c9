"""What one run works out more than once: study parses, rankings, setup reads, data openings, files entered.

A tiny study is run in this process on the local backend, with its confirmation and its report, as
`mbo-search run` does it. Calls are counted with the interpreter's profile hook, so nothing is patched.
"""

from __future__ import annotations

import collections
import contextlib
import io
import sys
import tempfile
from pathlib import Path
from types import CodeType, FrameType

import mbo_search
from mbo_search.cli.app import app
from mbo_search.cli.console import run_app
from mbo_search.data.prepare import load_prepared
from mbo_search.results.ranking.rank import rank
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.files.study_file import load_study, parse_study

_PACKAGE = Path(mbo_search.__file__).parent
_COUNTED: dict[str, tuple[CodeType, ...]] = {
    "parses of the study": (load_study.__code__, parse_study.__code__),
    "rankings": (rank.__code__,),
    "reads of the setup": (RunDirectory.setup.__code__,),
    "openings of the prepared data": (load_prepared.__code__,),
}
_STUDY = """\
study: counts
data: {source: [texts/], tokenizer: {kind: bytes}, dedup: none, validation_share: 0.15}
model: {layers: 1, width: 16, heads: 2, context: 16}
budget: {tokens: 1280, grid: 0.1}
train: {batch_tokens: 64, micro_batch: 4, precision: float32, threads: 1, device: cpu}
evaluation: {tokens: 256, points: 2}
stages: [{name: only, share: 1.0, optimizer: adamw, lr: {relative: [0.5, 1.0]}, lr_shape: linear}]
search: {searcher: random, trials: 2}
confirm: {top: 1, seeds: 2, equivalent_tokens: false}
resources: {workers: 1}
"""


def count_calls() -> tuple[collections.Counter[str], int]:
    """Run a tiny study; return how often each counted function was called, and how many files were entered."""
    names = {code: name for name, codes in _COUNTED.items() for code in codes}
    calls: collections.Counter[str] = collections.Counter()
    files: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            files.add(frame.f_code.co_filename)
            if frame.f_code in names:
                calls[names[frame.f_code]] += 1

    with tempfile.TemporaryDirectory() as folder:
        arguments = _write(Path(folder))
        said = io.StringIO()
        sys.setprofile(note)
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                code = run_app(app, arguments)
        finally:
            sys.setprofile(None)
    if code != 0:
        raise SystemExit(f"the study did not run to its end:\n{said.getvalue()}")
    return calls, sum(Path(file).is_relative_to(_PACKAGE) for file in files)


def _write(folder: Path) -> list[str]:
    (folder / "texts").mkdir()
    for number in range(60):
        words = " ".join(f"word{number * place % 97}" for place in range(1, 60))
        (folder / "texts" / f"{number:02d}.txt").write_text(words + "\n")
    (folder / "study.yaml").write_text(_STUDY)
    return ["run", str(folder / "study.yaml"), "--out", str(folder / "run"), "--backend", "local"]


if __name__ == "__main__":
    counted, num_files = count_calls()
    for counted_name in _COUNTED:
        print(f"{counted[counted_name]:4d}  {counted_name}")
    print(f"{num_files:4d}  files of the package entered")
