"""Small ladders for tests: a schedule of every rung, records of searches and of fresh seeds."""

from __future__ import annotations

from mbo_search.results.evidence.ladder import LadderContext
from mbo_search.results.ranking.rank import RankingContext, count_totals, rank
from mbo_search.results.records.records import TrialRecord
from mbo_search.results.verdict.next_step import Situation
from mbo_search.study.spec.rungs import RUNGS
from mbo_search.study.spec.schedule import Regularizer, Schedule, Stage
from mbo_search.study.spec.sections.searching import ConfirmSpec

SEARCH_OF = {"untuned": "baseline", "tuned": "tuned", "shape": "shape", "settings": "settings", "switch": "staged"}
SCALE = "at 0.43 M parameters, 0.1 M tokens"


def schedule_of(rung, lr=0.1):
    """A schedule that needs exactly a rung's freedoms; the baseline is always the same."""
    if rung in ("untuned", "tuned"):
        lr = 0.5 if rung == "untuned" else lr
        return Schedule(stages=(Stage(name="a", share=1.0, optimizer="adamw", lr=lr),))
    first = Stage(name="a", share=0.5, optimizer="muon" if rung == "switch" else "adamw", lr=lr)
    second = Stage(name="b", share=0.5, optimizer="adamw", lr=lr / 2, hand_over="carry")
    if rung == "settings":
        second = second.model_copy(update={"regularizers": (Regularizer(kind="z_loss", strength=1e-4),)})
    return Schedule(stages=(first, second))


def searched(trial, rung, loss, **fields):
    """A complete search trial."""
    lr = fields.pop("lr", 0.1)
    return TrialRecord(
        trial=trial,
        arm=fields.pop("arm", SEARCH_OF[rung]),
        seed=0,
        schedule=schedule_of(rung, lr),
        state="complete",
        val_loss=loss,
        **fields,
    )


SEARCH = [searched(number, rung, 3.4 - 0.1 * number) for number, rung in enumerate(RUNGS)]
"""Trials 0 to 4, one a rung, each 0.1 nats better than the one below."""


def fresh(gains, *, search=SEARCH, top="switch", first=100, seeds=None):
    """Runs of the champions on fresh seeds, by rung how much the top one gains on each seed."""
    schedules = {rung: next(one for one in search if one.trial == RUNGS.index(rung)).schedule for rung in RUNGS}
    numbers = list(seeds or range(1, 1 + max(map(len, gains.values()))))
    losses = {seed: 3.0 + 0.02 * (index % 5) for index, seed in enumerate(numbers)}
    runs = [(top, seed, losses[seed]) for seed in numbers]
    runs += [
        (rung, seed, losses[seed] + gain)
        for rung, own in gains.items()
        for seed, gain in zip(numbers, own, strict=True)
    ]
    return [
        TrialRecord(
            trial=first + index, arm="confirm", seed=seed, schedule=schedules[rung], state="complete", val_loss=loss
        )
        for index, (rung, seed, loss) in enumerate(runs)
    ]


def failed(trial, rung, seed):
    """A run on a fresh seed that diverged."""
    return TrialRecord(
        trial=trial, arm="confirm", seed=seed, schedule=schedule_of(rung), state="pruned", reason="non_finite"
    )


def spread(mean, num_seeds=6, step=0.001):
    """Gains on so many seeds around a mean."""
    return [mean + step * (index - (num_seeds - 1) / 2) for index in range(num_seeds)]


def info_of(question="switch", **fields):
    """A ladder up to a question, with enough effort on both sides to say nothing against a yes."""
    return LadderContext(question=question, rungs=RUNGS[: RUNGS.index(question) + 1], **fields)


def ranked(records, *, seeds=None, info=None):
    """The ranking of a small ladder."""
    confirm = None if seeds is None else ConfirmSpec(seeds=seeds)
    return rank(
        records,
        "s",
        count_totals(records, {}),
        scale=SCALE,
        confirm=confirm,
        context=RankingContext(
            ladder=info or info_of(), situation=Situation(directory="my run", sibling="my run-2")
        ),
    )
