"""`judge`: whether a change of a training is real, and how noisy a training is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.api.options import Options
from mbo_search.cli.console import EXIT_FAILED, EXIT_OK, CommandResult
from mbo_search.errors import Problem, UserError, command_line

if TYPE_CHECKING:
    from mbo_search.judging.judgement import Judgement
    from mbo_search.judging.noise import MeasuredNoise
    from mbo_search.judging.question import JudgeQuestion

EXIT_DISCARD = 3
EXIT_UNDECIDED = 4

_EXITS = {"keep": EXIT_OK, "discard": EXIT_DISCARD, "undecided": EXIT_UNDECIDED}


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRequest:
    """What was given on the command line, as text where it has a unit.

    Attributes:
        baseline: The baseline.
        candidate: The candidate; None in the A/A mode.
        is_own_noise: Whether the baseline is run against itself.
        metric: Name of the number that decides.
        maximize: Whether larger is better.
        max_seeds: Most pairs.
        first_seed: The first seed.
        worthwhile: Smallest gain worth having, such as `0.5%`.
        budget: Time for all runs, such as `2h`; None: no limit.
        timeout: Time for one run; None: no limit.
        retry_failed: Whether failed runs are made again.
        workers: Runs at once.
        gpus_per_run: GPUs of a run with Ray.
        out: Folder of the runs.
    """

    baseline: str
    candidate: str | None
    is_own_noise: bool
    metric: str
    maximize: bool
    max_seeds: int
    first_seed: int
    worthwhile: str
    budget: str | None
    timeout: str | None
    retry_failed: bool
    workers: int
    gpus_per_run: float
    out: Path | None


def judge_sides(asked: JudgeRequest, options: Options) -> CommandResult:
    """Judge a change, or measure the noise of one side.

    Raises:
        UserError: If the request contradicts itself, or what it names cannot be judged.
    """
    from mbo_search.judging.question import JudgeQuestion, parse_duration, parse_percent

    _check(asked)
    limits = {"budget": asked.budget, "timeout": asked.timeout}
    seconds = {name: None if text is None else parse_duration(text, f"--{name}") for name, text in limits.items()}
    question = JudgeQuestion(
        metric=asked.metric,
        maximize=asked.maximize,
        worthwhile_percent=parse_percent(asked.worthwhile, "--worthwhile"),
        max_seeds=asked.max_seeds,
        first_seed=asked.first_seed,
        budget_seconds=seconds["budget"],
        timeout_seconds=seconds["timeout"],
        retry_failed=asked.retry_failed,
        workers=asked.workers,
        gpus_per_run=asked.gpus_per_run,
    )
    if asked.candidate is None:
        return _own_noise(asked, question, options)
    return _change(asked, asked.candidate, question, options)


def _check(asked: JudgeRequest) -> None:
    if asked.is_own_noise and asked.candidate is not None:
        rule = "is not used with --aa, which runs the baseline against itself"
        raise UserError([Problem(key="--candidate", rule=rule, hint="leave out one of them")])
    if not asked.is_own_noise and asked.candidate is None:
        hint = "give what is to be judged, or --aa to measure the noise of the baseline"
        raise UserError([Problem(key="--candidate", rule="is missing", hint=hint)])


def _change(asked: JudgeRequest, candidate: str, question: JudgeQuestion, options: Options) -> CommandResult:
    from mbo_search.api.judgements import judged_in

    found, folder = judged_in(asked.baseline, candidate, question, out=asked.out, options=options)
    return CommandResult(
        schema="mbo-search/judge/1",
        document={**found.model_dump(mode="json"), "folder": str(folder)},
        text=[found.sentence, *found.remarks, f"Runs: {folder}"],
        next=_next(found, asked),
        brief=found.decision,
        exit_code=_EXITS[found.decision],
    )


def _next(found: Judgement, asked: JudgeRequest) -> str:
    if found.decision != "undecided" or not found.seeds_missing or found.reason == "constant":
        return ""
    if found.reason == "budget":
        return "give it more time: the same command continues where this one ended"
    more = found.num_pairs + found.seeds_missing
    return f"train more pairs, where those that are there are not trained again: the same with --max-seeds {more}"


def _own_noise(asked: JudgeRequest, question: JudgeQuestion, options: Options) -> CommandResult:
    from mbo_search.api.judgements import noise_in

    noise, folder = noise_in(asked.baseline, question, out=asked.out, options=options)
    is_wrong = noise.control == "keep"
    return CommandResult(
        schema="mbo-search/judge-noise/1",
        document={**noise.model_dump(mode="json"), "folder": str(folder)},
        text=[*noise_lines(noise, question), f"Runs: {folder}"],
        next="" if is_wrong else f"judge a change: {_judge_it(asked)}",
        brief=f"{noise.sd:.4g}",
        exit_code=EXIT_FAILED if is_wrong else EXIT_OK,
    )


def _judge_it(asked: JudgeRequest) -> str:
    return command_line("judge", "--baseline", asked.baseline, "--candidate", "COMMAND", "--metric", asked.metric)


def noise_lines(noise: MeasuredNoise, question: JudgeQuestion) -> list[str]:
    """The noise in words."""
    lines = [
        f"{question.metric} over {noise.num_runs} seeds: mean {noise.mean:.6g}, standard deviation {noise.sd:.3g}.",
        *_repeated(noise),
        *_detectable(noise),
        _control(noise),
    ]
    failed = f"{noise.num_failed} runs failed and do not count." if noise.num_failed else ""
    return [line for line in (*lines, failed) if line]


def _repeated(noise: MeasuredNoise) -> list[str]:
    if noise.is_repeatable is None:
        return []
    if noise.is_repeatable:
        return [f"The same seed gives the same numbers, bit for bit ({noise.num_repeated} seeds run twice)."]
    return [
        f"The same seed does not give the same numbers: {noise.num_repeated} seeds run twice differ by up to "
        f"{noise.largest_repeat:.3g}."
    ]


def _detectable(noise: MeasuredNoise) -> list[str]:
    if noise.detectable is None:
        return ["All seeds give the same: let the command take MBO_SEED for its initialization and data order."]
    percent = "" if noise.detectable_percent is None else f" ({noise.detectable_percent:.2g} %)"
    return [
        f"{noise.num_pairs} pairs find a gain of {noise.detectable:.3g}{percent} in four cases of five, or a "
        "smaller one where a change leaves the runs of a seed alike."
    ]


def _control(noise: MeasuredNoise) -> str:
    answer = f"Control, {noise.num_control} pairs of runs that differ in the seed alone: {noise.control}"
    if noise.control == "keep":
        return (
            f"{answer}, which is wrong. That happens once in about thirty; if it happens again, the runs are not "
            "independent of each other, and nothing that is judged with them can be trusted."
        )
    return f"{answer}, as it should be."
