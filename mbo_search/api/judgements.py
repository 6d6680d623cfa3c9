"""Judging a change: whether a command trains better than another one, by more than noise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.api.options import DEFAULT_OPTIONS, Options
from mbo_search.api.studies import named_path
from mbo_search.extensions import ALLOW_CODE
from mbo_search.judging.question import JudgeQuestion
from mbo_search.system.environment import process_environment
from mbo_search.system.streams import lasting

if TYPE_CHECKING:
    from mbo_search.judging.judge import JudgePlan
    from mbo_search.judging.judgement import Judgement
    from mbo_search.judging.noise import MeasuredNoise

DEFAULT_QUESTION = JudgeQuestion()


def judge(
    baseline: Path | str,
    candidate: Path | str,
    question: JudgeQuestion = DEFAULT_QUESTION,
    *,
    out: Path | str | None = None,
    options: Options = DEFAULT_OPTIONS,
) -> Judgement:
    """Decide whether a change is real: run both sides seed by seed until it is clear.

    Each run has a folder of its own, gets its seed in `MBO_SEED`, and leaves `result.json` there or prints one line
    of JSON last.

    Args:
        baseline: A command line, which is run without a shell; a schedule file; or a folder of results by seed.
        candidate: The same for what is to be judged.
        question: Which number decides, and when to stop.
        out: Folder of the runs; None is one in `reports` that the two sides name. Runs that it holds are not made
            again.
        options: With `backend="ray"` runs are tasks of Ray, else processes of this machine.

    Returns:
        The decision with its interval.

    Raises:
        UserError: If a side cannot be judged, or the folder holds runs of others.
        MboError: If a side fails again and again.
    """
    return judged_in(baseline, candidate, question, out=out, options=options)[0]


def judged_in(
    baseline: Path | str,
    candidate: Path | str,
    question: JudgeQuestion,
    *,
    out: Path | str | None,
    options: Options,
) -> tuple[Judgement, Path]:
    """Judge as `judge` does; the folder of the runs as well."""
    from mbo_search.judging.judge import judge_change

    with _planned(out, options) as plan:
        return judge_change(str(baseline), str(candidate), question, plan)


def measure_noise(
    command: Path | str,
    question: JudgeQuestion = DEFAULT_QUESTION,
    *,
    out: Path | str | None = None,
    options: Options = DEFAULT_OPTIONS,
) -> MeasuredNoise:
    """Run one side against itself: how far trainings end from each other that differ in nothing.

    Args:
        command: What `judge` takes as a baseline.
        question: Which number decides, and how many pairs are meant to be run.
        out: As for `judge`.
        options: As for `judge`.

    Raises:
        UserError: If the side cannot be judged, or the folder holds runs of others.
        MboError: If it fails again and again.
    """
    return noise_in(command, question, out=out, options=options)[0]


def noise_in(
    command: Path | str, question: JudgeQuestion, *, out: Path | str | None, options: Options
) -> tuple[MeasuredNoise, Path]:
    """Measure as `measure_noise` does; the folder of the runs as well."""
    from mbo_search.judging.own_noise import measure_own_noise

    with _planned(out, options) as plan:
        return measure_own_noise(str(command), question, plan)


@contextmanager
def _planned(out: Path | str | None, options: Options) -> Iterator[JudgePlan]:
    """Where and how runs are made."""
    from mbo_search.engine.backends.ray.cluster import Cluster
    from mbo_search.judging.judge import JudgePlan
    from mbo_search.judging.pool import PoolPlace

    address, stream = options.address, lasting(sys.stderr)
    cluster = None if address is None else Cluster(address=address, may_be_insecure=options.insecure_cluster)
    place = PoolPlace(backend="ray" if options.backend == "ray" else "local", cluster=cluster)

    def tell(line: str) -> None:
        if not options.quiet:
            print(line, file=stream, flush=True)

    folder = None if out is None else named_path("out", out)
    with process_environment({ALLOW_CODE: "1"} if options.allow_code else {}):
        yield JudgePlan(out=folder, place=place, tell=tell)
