"""What the trials say beyond single settings: what mattered, how sure that is, and whether more would help."""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.advising.gather import FinishedStudy
from mbo_search.advising.importance import FEWEST_TRIALS, importance_of
from mbo_search.advising.said import Said, number
from mbo_search.advising.told import Told
from mbo_search.errors import command_line
from mbo_search.results.evidence.objections import late_gain
from mbo_search.results.evidence.ranking_values import Difference, LadderRung

_MOST_SHOWN = 5
_STAGED = ("shape", "settings", "switch")
"""Rungs whose schedules have several strategies or rates in time."""


def what_mattered(told: Told) -> Said:
    """Say which settings decided, in shares of the whole."""
    found = importance_of([(trial.params, trial.behind) for trial in told.trials], told.space)
    if found is None:
        values = {"trials": str(len(told.trials)), "needed": str(FEWEST_TRIALS)}
        return Said(name="mattered_unknown", values=values)
    rows = sorted(found.shares, key=lambda row: -row[2])[:_MOST_SHOWN]
    shares = ", ".join(f"{name} {share:.0%}" for _, name, share in rows if share >= 0.005)
    return Said(name="mattered", values={"trials": str(found.num_trials), "shares": shares})


def what_it_rests_on(told: Told, folder: str) -> tuple[Said, Said]:
    """Say how much evidence there is, and what counts as a difference."""
    margin = told.margin
    counts = {
        "trials": str(len(told.trials)),
        "studies": ", ".join(dict.fromkeys(trial.study for trial in told.trials)) or "no study",
        "seeds": ", ".join(str(seed) for seed in sorted({trial.seed for trial in told.trials})) or "none",
        "settings": str(len(told.space)),
    }
    values = {"margin": number(margin.size, told.unit)}
    if margin.num_seeds:
        noise = Said(
            name="noise",
            values={**values, "seeds": str(margin.num_seeds), "studies": ", ".join(margin.studies)},
        )
    else:
        noise = Said(name="no_noise", values={**values, "confirm": command_line("confirm", folder)})
    return Said(name="rests_on", values=counts), noise


def about_trials(told: Told, base: FinishedStudy) -> tuple[Said, Said | None]:
    """Say whether more trials would help; and, where they would not, why half of them are enough."""
    late = late_gain([record for record in base.records if record.is_search], base.by)
    if late is None:
        return Said(name="trials_unknown"), None
    values = {"behind": number(late, told.unit), "margin": number(told.margin.size, told.unit)}
    if late > told.margin.size:
        return Said(name="more_trials", values=values), None
    return Said(name="enough_trials", values=values), Said(name="fewer_trials", values=values)


def about_stages(base: FinishedStudy) -> Said:
    """Say whether freedom between stages has paid, the only evidence that there is for more of them."""
    gains = [(rung, rung.gain) for rung in base.ranking.ladder if rung.name in _STAGED and rung.gain is not None]
    tested = [(rung, gain) for rung, gain in gains if gain.nats.low is not None]
    if not tested or len(base.study.stages) == 1:
        return Said(name="stages_unknown")
    paying = [(rung, gain) for rung, gain in tested if rung.helps]
    rung, gain = max(paying or tested, key=lambda row: row[1].nats.mean)
    values = {"rung": rung.name, "gain": number(gain.nats.mean, "nats"), "stages": str(len(base.study.stages))}
    return Said(
        name="stages_pay" if paying else "stages_open",
        values={**values, "interval": _interval(gain, rung, base)},
    )


def _interval(gain: Difference, rung: LadderRung, base: FinishedStudy) -> Said:
    low, high = gain.nats.low, gain.nats.high
    tests: Sequence[int] = [
        one.test.num_seeds
        for one in base.ranking.comparisons
        if one.test is not None and one.role == "ladder" and one.rung == rung.name
    ]
    values = {
        "low": "-inf" if low is None else number(low),
        "high": "inf" if high is None else number(high, "nats"),
        "seeds": str(max(tests, default=0)),
    }
    return Said(name="interval_of_rung", values=values)
