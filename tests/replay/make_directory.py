"""Write the run directory of an interrupted search, small enough to keep.

Run it as `python tests/replay/make_directory.py OUT`. `directory/` was written so by an earlier version, which is
its worth: later versions must read it. Write it anew only where a version may no longer read it, and say so in the
commit message.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
from pathlib import Path

from torch.optim.optimizer import register_optimizer_step_post_hook

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.replay.corpus import write_corpus
from tests.replay.record import HERE, entry_point
from tests.replay.step_clock import StepClock

_INTERRUPTED_AT = 270
"""Optimizer steps after which the search is interrupted: within the second stage of a trial."""

_TEXTS = ("study.yaml", "setup.json", "worker.json", "best.yaml")
"""Files that name folders of the machine."""

_LEFT_OUT = ("report.html", "lock", "*.parquet")
_PAGE_BYTES = 512


def make(out: Path, work: Path) -> None:
    """Search, interrupt, and put what was left into a folder."""
    shutil.copy(HERE / "studies" / "old.study", work / "old.yaml")
    write_corpus(work / "text.txt")
    os.environ["MBO_SEARCH_CACHE"] = str(work / "cache")
    os.chdir(work)
    _interrupt_after(_INTERRUPTED_AT)
    sys.argv = ["mbo-search", "run", "old.yaml"]
    with contextlib.suppress(SystemExit):
        entry_point()()
    _slim(work / "reports" / "old", work)
    shutil.copytree(work / "reports" / "old", out, ignore=shutil.ignore_patterns(*_LEFT_OUT))


def _interrupt_after(steps: int) -> None:
    done = iter(range(1, steps + 1))

    def count(*_: object) -> None:
        if next(done, None) == steps:
            signal.raise_signal(signal.SIGINT)

    register_optimizer_step_post_hook(count)


def _slim(run: Path, work: Path) -> None:
    """Name no folder of this machine, pack the databases, and keep two of the cached states."""
    for file in (run / name for name in _TEXTS):
        file.write_text(file.read_text().replace(str(work.resolve()), "WORK"))
    for database in [run / "study.db", *run.glob("rungs/*.db")]:
        with sqlite3.connect(database) as connection:
            connection.execute(f"pragma page_size = {_PAGE_BYTES}")
            connection.execute("vacuum")
        connection.close()
    kept = _nodes_to_go_on_from(run)
    for manifest in list(run.glob("stages/*/*/manifest.json")):
        if manifest.parent.name not in kept:
            shutil.rmtree(manifest.parent)


def _nodes_to_go_on_from(run: Path) -> set[str]:
    """The ends of the first stages of the first staged trial and of the last one, which was interrupted."""
    records = [json.loads(file.read_text()) for file in sorted(run.glob("trials/*[0-9].json"))]
    nodes = [record["boundaries"][0]["node"] for record in records if len(record["schedule"]["stages"]) > 1]
    return {nodes[0], nodes[-1]}


if __name__ == "__main__":
    StepClock().install()
    with tempfile.TemporaryDirectory() as folder:
        make(Path(sys.argv[1]).resolve(), Path(folder).resolve())
