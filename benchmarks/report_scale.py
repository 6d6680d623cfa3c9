"""How long a report of a large study takes to write, how big it is, and how soon a reader can use it.

    python -m benchmarks.report_scale --trials 2000 --stages 4 --points 50

The study is built without training: schedules proposed at random from a real space, losses from a smooth landscape.
Prints one JSON object. The page is opened in an installed Chromium if there is one. The bounds that the project
holds itself to: written in under 10 s, smaller than 12 MB, first figure and table usable in under 3 s. Beside the
seconds on the wall stand those that a processor worked on it, which say more on a machine that is busy otherwise.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from mbo_search.report.page.page import write_report
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.testing.runs import build_records, make_setup, make_study
from mbo_search.trial.outcome import CurveRow

__all__ = ["main"]

_PATIENCE_MILLISECONDS = 300_000


def main() -> None:
    """Build, write, open, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--stages", type=int, default=4)
    parser.add_argument("--points", type=int, default=50)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = build(Path(folder) / "run", arguments.trials, arguments.stages, arguments.points)
        started, worked = time.perf_counter(), time.process_time()
        page = write_report(run)
        found: dict[str, float | None] = {
            "trials": arguments.trials,
            "stages": arguments.stages,
            "points": arguments.points,
            "write_seconds": round(time.perf_counter() - started, 2),
            "write_cpu_seconds": round(time.process_time() - worked, 2),
            "megabytes": round(page.stat().st_size / 1e6, 2),
            **open_page(page),
        }
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")


def build(path: Path, num_trials: int, num_stages: int, num_points: int) -> RunDirectory:
    """A finished study with so many curve points a trial."""
    study = make_study(num_stages)
    run = RunDirectory.create(path, study, make_setup(study))
    for record, curve in build_records(study, num_trials=num_trials, confirm_seeds=6):
        run.write_record(record, dense(curve, num_points))
    return run


def dense(curve: list[CurveRow], num_points: int) -> list[CurveRow]:
    """The same curve with more points, interpolated between its own."""
    if not curve:
        return []
    places = [index * (len(curve) - 1) / (num_points - 1) for index in range(num_points)]
    rows = []
    for place in places:
        low, high = curve[int(place)], curve[min(int(place) + 1, len(curve) - 1)]
        part = place - int(place)
        tokens = round(low.tokens + part * (high.tokens - low.tokens))
        loss = low.loss + part * (high.loss - low.loss)
        rows.append(low.model_copy(update={"tokens": tokens, "loss": loss}))
    return rows


def open_page(page: Path) -> dict[str, float | None]:
    """Seconds until the first figure is drawn and the table stands, on the wall and of the page's thread."""
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        return {"usable_seconds": None, "usable_cpu_seconds": None}
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1440, "height": 900})
        tab.set_default_timeout(_PATIENCE_MILLISECONDS)
        devtools = tab.context.new_cdp_session(tab)
        devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
        started = time.perf_counter()
        tab.goto(page.as_uri())
        tab.wait_for_selector("[data-figure] .main-svg")
        tab.wait_for_selector("[data-table=ranking] tr.row")
        seconds = time.perf_counter() - started
        metrics = {item["name"]: item["value"] for item in devtools.send("Performance.getMetrics")["metrics"]}
        browser.close()
    return {"usable_seconds": round(seconds, 2), "usable_cpu_seconds": round(metrics["TaskDuration"], 2)}


if __name__ == "__main__":
    main()
