"""The ranking as a value: what `ranking.json` holds, field by field.

Losses are mean nats per token, perplexities exp(mean loss), tokens charged tokens, times seconds, sizes bytes. What
is not known is null.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from mbo_search.results.attribution_values import Attribution
from mbo_search.results.equivalent_tokens import EquivalentTokens, TokenRatio
from mbo_search.results.records import EndReason, State
from mbo_search.results.statistics import WORTHWHILE_PERCENT, Answer, PairedTest
from mbo_search.study.base import Description
from mbo_search.study.schedule import Stage

__all__ = [
    "Comparison",
    "Difference",
    "NoiseFloor",
    "RankedRun",
    "RankedTrial",
    "Ranking",
    "SecondLine",
    "Totals",
    "Verdict",
]


class Difference(Description):
    """How much better one schedule is than another; negative: worse.

    Attributes:
        nats: Loss of the other minus its own.
        perplexity_percent: By how many percent its perplexity is lower.
        equivalent_tokens: How much more text the other would need to be as good.
    """

    nats: float
    perplexity_percent: float
    equivalent_tokens: EquivalentTokens | None = None


class Comparison(Description):
    """One schedule against another.

    Attributes:
        trial: The schedule in question.
        other: The one that it is compared with.
        role: `primary` is the one test declared in advance: best staged against best single-strategy schedule.
            `secondary` tests are Holm-adjusted. `search` compares search runs of one seed and tests nothing.
        difference: How much better `trial` is.
        test: The paired test over the confirm seeds that both completed; null for `search`.
        adjusted_p: The p value after Holm's adjustment; null unless `secondary`.
    """

    trial: int
    other: int
    role: Literal["primary", "secondary", "search"]
    difference: Difference
    test: PairedTest | None = None
    adjusted_p: float | None = None


class SecondLine(Description):
    """The second declared comparison: the best schedule that changes the optimizer against the best that keeps it.

    Attributes:
        sentence: What was found, for people.
        switching_trial: The best schedule that changes the optimizer, by its search.
        single_optimizer_trial: The best schedule that keeps it, by its search, of any arm.
        difference: How much better the first is.
        test: The paired test over the confirm seeds that both completed.
        adjusted_p: Its p after Holm's adjustment among all secondary tests; null where the pair is that of the
            primary test.
    """

    sentence: str
    switching_trial: int | None = None
    single_optimizer_trial: int | None = None
    difference: Difference | None = None
    test: PairedTest | None = None
    adjusted_p: float | None = None


class NoiseFloor(Description):
    """How far two equally good schedules end apart on one seed: smaller differences take several seeds to see.

    Attributes:
        trial: The schedule that `range_nats` is of: the best baseline, else the best single-strategy or staged one.
        label: Its name in the study; empty where it has none.
        num_seeds: Fresh seeds that a pair of schedules had in common, at most.
        sd_nats: Standard deviation of a paired difference of two losses over seeds, pooled over all pairs of
            confirmed schedules; one schedule contributes it divided by the square root of two.
        sd_percent: The same in percent of perplexity.
        range_nats: Largest loss of `trial` over its fresh seeds minus the smallest, unpaired.
    """

    trial: int
    label: str
    num_seeds: int
    sd_nats: float
    sd_percent: float
    range_nats: float


class Verdict(Description):
    """The answer to the study's question: does a staged schedule beat the best single strategy?

    Attributes:
        sentence: The answer for people, scale included.
        answer: yes, no or undecided; null while nothing was confirmed on fresh seeds.
        winner_trial: The schedule at the top of the ranking, whatever its arm.
        best_staged_trial: The champion of the staged arm, by its search.
        best_single_trial: The best single-strategy schedule by its search, untuned baselines included.
        num_seeds: Fresh seeds behind the primary test.
        p_value: Of the primary test.
        smallest_p: The smallest value that the permutation test beside it can give.
        difference: Best staged against best single-strategy schedule.
        baseline_difference: Top of the ranking against the best baseline.
        worthwhile_percent: Smallest gain in perplexity worth having; a "no" excludes it.
        equivalent_tokens: How much text the best single-strategy schedule would need to be as good as the best
            staged one, with what must be said about that; null if it was not measured.
        switching: The second declared comparison.
    """

    sentence: str
    answer: Answer | None = None
    winner_trial: int | None = None
    best_staged_trial: int | None = None
    best_single_trial: int | None = None
    num_seeds: int | None = None
    p_value: float | None = None
    smallest_p: float | None = None
    difference: Difference | None = None
    baseline_difference: Difference | None = None
    worthwhile_percent: float = WORTHWHILE_PERCENT
    equivalent_tokens: TokenRatio | None = None
    switching: SecondLine | None = None


class RankedRun(Description):
    """One training of a schedule.

    Attributes:
        seed: Its seed.
        val_loss: Its final validation loss.
    """

    seed: int
    val_loss: float


class RankedTrial(Description):
    """A row of the ranking: one schedule with all its runs.

    Attributes:
        rank: 1 for the best; null for schedules that did not complete.
        trial: Number of its search trial.
        arm: Who proposed it.
        label: For baselines, the name in the study; else empty.
        state: How its search trial ended.
        reason: Why that ended early; null if complete.
        message: First line of what was said about that.
        confirmed: Whether `val_loss` comes from fresh seeds.
        tied: Whether noise could explain its distance to the best of its kind (confirmed or not); null: unknown.
        val_loss: Mean over the confirm seeds, else the search loss.
        val_perplexity: exp(val_loss).
        val_loss_sd: Standard deviation over the confirm seeds; null below two.
        search_val_loss: Loss of its search trial, next to which a confirmed loss shows the winner's curse.
        runs: Its complete runs, the search trial's first.
        test_loss: Mean loss on the test split over the confirm seeds; never used to rank.
        test_perplexity: exp(test_loss).
        bits_per_byte: Mean over the runs behind `val_loss`.
        accuracy: Mean next-token accuracy over the runs behind `val_loss`.
        stages: The complete recipe.
        requested_tokens: Up to where its runs ended, without sharing.
        executed_tokens: Trained for it and kept.
        wasted_tokens: Crash repeats and discarded work.
        train_seconds: Of its own training.
        path_seconds: Of one training of the whole schedule, as if nothing had been shared; null: not known.
        on_front: Whether no other schedule is at least as good in every objective of the search and better in one;
            null with a single objective.
        peak_memory_bytes: Largest memory of its runs.
    """

    rank: int | None = Field(default=None, ge=1)
    trial: int
    arm: Literal["baseline", "control", "staged"]
    label: str = ""
    state: State
    reason: EndReason | None = None
    message: str = ""
    confirmed: bool = False
    tied: bool | None = None
    val_loss: float | None = None
    val_perplexity: float | None = None
    val_loss_sd: float | None = None
    search_val_loss: float | None = None
    runs: tuple[RankedRun, ...] = ()
    test_loss: float | None = None
    test_perplexity: float | None = None
    bits_per_byte: float | None = None
    accuracy: float | None = None
    stages: tuple[Stage, ...]
    requested_tokens: int = 0
    executed_tokens: int = 0
    wasted_tokens: int = 0
    train_seconds: float = 0.0
    path_seconds: float | None = None
    on_front: bool | None = None
    peak_memory_bytes: int = 0


class Totals(Description):
    """What the whole study cost.

    Attributes:
        requested_tokens: What all trials would have cost without sharing.
        executed_tokens: What was trained and kept.
        saved_tokens: What sharing saved.
        wasted_tokens: Crash repeats and discarded work.
        stages_asked: Stage ends that trials came to.
        stages_found: Those of them that another trial had trained before.
        wall_seconds: Time in which a driver ran.
        busy_fraction: Mean share of the slots that were busy, in [0, 1].
    """

    requested_tokens: int = 0
    executed_tokens: int = 0
    saved_tokens: int = 0
    wasted_tokens: int = 0
    stages_asked: int = 0
    stages_found: int = 0
    wall_seconds: float | None = None
    busy_fraction: float | None = None


class Ranking(Description):
    """The result of a study: what `ranking.json` holds.

    Attributes:
        schema_version: Version of this format; `schema` in JSON.
        study: Name of the study.
        scale: At which size all of this holds, such as "at 0.43 M parameters, 0.1 M tokens".
        verdict: The answer.
        baseline_trial: The best baseline.
        best_single_trial: The best single-strategy schedule.
        trials: Ranked schedules first, then those that did not complete, by number.
        comparisons: The primary comparison, then the others.
        totals: What it cost.
        noise_floor: The baseline's spread over the confirm seeds; null below two of them.
        attribution: What each part of the best staged schedule is worth; null if that was not measured.
        notes: What was wanted and is not there, in sentences.
    """

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    schema_version: Literal["mbo-search/ranking/1"] = Field(default="mbo-search/ranking/1", alias="schema")
    study: str
    scale: str
    verdict: Verdict
    baseline_trial: int | None = None
    best_single_trial: int | None = None
    trials: tuple[RankedTrial, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    totals: Totals = Totals()
    noise_floor: NoiseFloor | None = None
    attribution: Attribution | None = None
    notes: tuple[str, ...] = ()
