"""Search, confirm and look at the result from Python.

Run with `python examples/first_study.py`; it takes about ten minutes on two CPU cores, without GPU and network.
The first argument may name another study, the second another run directory.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mbo_search as mbo


def main(name: str = "quickstart", folder: str = "reports/first-study") -> None:
    """Search the schedules of a study, train the champions again on fresh seeds, and save the best.

    Args:
        name: A shipped study, or the path of a study file.
        folder: The run directory.
    """
    study, out = mbo.load_study(name), Path(folder)
    run = mbo.search(study, out=out)
    print(run.ranking[["trial", "val_perplexity", "schedule"]].head().to_string(index=False))

    run = mbo.confirm(run, seeds=6)
    print(run.verdict)

    run.best.save(out / "best.yaml")
    run.figure("timelines").write_html(out / "timelines.html")


if __name__ == "__main__":
    main(*sys.argv[1:])
