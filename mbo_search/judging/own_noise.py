"""The same command against itself: runs for the user's own noise."""

from __future__ import annotations

from pathlib import Path

from mbo_search.engine.backends.stop_signals import stop_on_signals
from mbo_search.judging.folder import JudgeFolder, default_folder
from mbo_search.judging.judge import JudgePlan, Tell
from mbo_search.judging.noise import REPEATED_SEEDS, MeasuredNoise, measure_noise
from mbo_search.judging.pairs import RunRecord
from mbo_search.judging.question import JudgeQuestion
from mbo_search.judging.runs import PlannedRun, Records, RunMaker, RunsFailedError
from mbo_search.judging.seeds import seeds_of
from mbo_search.judging.sides import JudgedSide, check_schedules, open_side

_AGAIN = "again"


def measure_own_noise(command: str, question: JudgeQuestion, plan: JudgePlan) -> tuple[MeasuredNoise, Path]:
    """Run one side against itself.

    Returns:
        How much its runs differ, and the folder of the runs.

    Raises:
        UserError: If it cannot be judged, or the folder holds something else.
        RunsFailedError: If it fails again and again, or too few runs count.
        KeyboardInterrupt: If it was stopped; what has ended is kept.
    """
    side = open_side(command, "baseline", Path.cwd())
    check_schedules([side])
    folder = JudgeFolder(plan.out or default_folder([side]))
    with folder.opened([side]), stop_on_signals() as stop:
        planned = _noise_plan(side, question)
        maker = RunMaker(folder, planned, question)
        told = _Progress(len(planned), plan.tell)
        ended = maker.make(plan.place, stop=stop, is_decided=told)
        if ended == "stopped":
            raise KeyboardInterrupt(
                f"Interrupted; runs that had ended are kept. Continue with --out {folder.path}."
            )
        if ended == "budget":
            plan.tell("the time was used up; the same command continues")
        runs, again = (_of_part(maker.records, part) for part in ("baseline", _AGAIN))
        noise = measure_noise(runs, again, question)
        if noise is None:
            raise RunsFailedError(f"fewer than two runs have a {question.metric}; their output is in {folder.path}")
        folder.write_answer(noise.model_dump(mode="json"))
    return noise, folder.path


def _noise_plan(side: JudgedSide, question: JudgeQuestion) -> list[PlannedRun]:
    """Some seeds twice, then twice as many seeds as a judgement has."""
    if side.results is not None:
        return [PlannedRun("baseline", side, seed) for seed in side.results]
    wide = question.model_copy(update={"max_seeds": 2 * question.max_seeds})
    seeds, _ = seeds_of([side], wide)
    repeated = [PlannedRun(part, side, seed) for seed in seeds[:REPEATED_SEEDS] for part in ("baseline", _AGAIN)]
    return [*repeated, *(PlannedRun("baseline", side, seed) for seed in seeds[REPEATED_SEEDS:])]


def _of_part(records: Records, part: str) -> list[RunRecord]:
    return [records[key] for key in sorted(records) if key[0] == part]


class _Progress:
    """Tells how many runs have ended; never decides."""

    def __init__(self, num_runs: int, tell: Tell) -> None:
        self._num_runs = num_runs
        self._tell = tell

    def __call__(self, records: Records) -> bool:
        if records:
            self._tell(f"{len(records)} of {self._num_runs} runs")
        return False
