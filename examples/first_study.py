"""Search, confirm and look at the result from Python.

Run with `python examples/first_study.py`; it takes about ten minutes on two CPU cores, without GPU and network.
The first argument may name another study file, the second another run directory.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mbo_search as mbo

QUICKSTART = Path(__file__).resolve().parents[1] / "studies" / "quickstart.yaml"


def main(study_file: Path = QUICKSTART, out: Path = Path("reports/first-study")) -> None:
    """Search the schedules of a study, train the champions again on fresh seeds, and save the best."""
    study = mbo.load_study(study_file)
    run = mbo.search(study, out=out)
    print(run.ranking.head(5).to_string(index=False))

    run = mbo.confirm(run, seeds=6)
    print(run.verdict)

    run.best.save(out / "best.yaml")
    run.figure("timelines").write_html(out / "timelines.html")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
