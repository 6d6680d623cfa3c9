"""The ranking as a value: what `ranking.json` holds, field by field.

Losses are mean nats per token, perplexities exp(mean loss), tokens charged tokens, times seconds, sizes bytes. What
is not known is null.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from mbo_search.results.evidence.attribution import Attribution
from mbo_search.results.evidence.counts import StudyCounts
from mbo_search.results.evidence.score_comparisons import ScoreComparison, ScoreTest
from mbo_search.results.records.fitness import LOSS
from mbo_search.results.records.records import Arm
from mbo_search.results.statistics.equivalent_tokens import TokenRatio
from mbo_search.results.statistics.paired import WORTHWHILE_PERCENT, Answer, PairedTest
from mbo_search.results.statistics.sequential import SequentialTest
from mbo_search.study.spec.base import Description, without_empty
from mbo_search.study.spec.rungs import Rung
from mbo_search.study.spec.schedule import Stage
from mbo_search.system.fragments import fragment, paragraphs
from mbo_search.trial.outcome import Scores, State
from mbo_search.trial.reports import EndReason


class Estimate(Description):
    """A number with its interval.

    Attributes:
        mean: The estimate.
        low: Lower end, at most `mean`; null where it is not known.
        high: Upper end, at least `mean`; null where it is not known.
        level: Probability that the interval covers the truth, however often it is looked at; null without one.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    level: float | None = None


class Difference(Description):
    """How much better one schedule is than another; negative: worse. All units point the same way.

    Attributes:
        nats: Loss of the other minus its own, nats per token.
        perplexity_percent: By how many percent its perplexity is lower.
        equivalent_tokens: How many times the text the other would need to be as good; above 1: better.
    """

    nats: Estimate
    perplexity_percent: Estimate
    equivalent_tokens: Estimate | None = None


class PairComparison(Description):
    """One schedule against another.

    Attributes:
        trial: The schedule in question.
        other: The one that it is compared with.
        role: `declared`: the question's champion against the champion of a rung below; the answer is yes only if it
            beats each of them. `ladder`: a rung's champion against the best of the rungs below it. `secondary`
            tests are Holm-adjusted. `search` compares search runs of one seed and tests nothing.
        rung: For `declared`, the rung of the other; for `ladder`, that of the schedule in question.
        round: Which round of confirming the comparison spends the error of; later rounds have less. Null unless
            `declared` and tested.
        difference: How much better `trial` is.
        test: The test over the confirm seeds that both completed; null for `search`.
        adjusted_p: The p value after Holm's adjustment; null unless `secondary`.
    """

    trial: int
    other: int
    role: Literal["declared", "ladder", "secondary", "search"]
    rung: Rung | None = None
    round: int | None = None
    difference: Difference
    test: SequentialTest | PairedTest | None = None
    adjusted_p: float | None = None


class LadderRung(Description):
    """A set of freedoms, the best that was found with it, and what looking for it took.

    Attributes:
        name: The freedom; each rung has those of the rungs before it.
        champion_trial: The best schedule, by its search, that needs this freedom; null if none has completed.
        best_up_to: Loss of the best schedule that this rung and those below allow: never above the rung before.
        best_needing: Loss of the champion, on the same runs as `best_up_to`.
        perplexity: exp(best_needing).
        gain: The champion against the best champion of the rungs below, with intervals that hold for all rungs
            together; null for the lowest rung.
        gain_over: Trial of the champion below that it is compared with.
        gain_at_most: Whether the rungs below had fewer than three trials for each optimizer, so that a part of the
            gain may be owed to tuning that they did not have.
        executed_tokens: What its searches are charged with: each distinct state of their schedules once, as if
            nobody else had trained it.
        trials: Complete schedules of the search that need exactly this freedom, whoever proposed them.
        dimensions: Numbers and names that its largest search chooses; 0 for untuned schedules.
        hand_picked: What is fixed by hand in its searches.
        train_seconds: One training of the champion as if nothing was shared; null: not known.
        epochs: How often the champion reads the training text; null: not known.
    """

    name: Rung
    champion_trial: int | None = None
    best_up_to: float | None = None
    best_needing: float | None = None
    perplexity: float | None = None
    gain: Difference | None = None
    gain_over: int | None = None
    gain_at_most: bool = False
    executed_tokens: int = 0
    trials: int = 0
    dimensions: int | None = None
    hand_picked: tuple[str, ...] = ()
    train_seconds: float | None = None
    epochs: float | None = None

    @property
    def helps(self) -> bool:
        """Whether its gain's interval excludes 0; where there is none, whether the loss is lower at all."""
        if self.gain is None:
            return False
        nats = self.gain.nats
        return nats.mean > 0 if nats.low is None else nats.low > 0


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


OutlookKind = Literal["seeds", "text", "tie"]
"""What would decide an undecided answer: more seeds, more validation text, or nothing that is worth its cost."""


class Verdict(Description):
    """The answer to the study's question: does the freedom that it asks about beat everything below?

    Attributes:
        sentence: The answer for people: `headline` and `details`.
        headline: What was found, in plain words.
        details: The numbers behind it, with the size at which they hold.
        ladder_sentence: What each rung of the ladder is worth, in one sentence; empty before anything is known.
        answer: yes, no or undecided; null while nothing was confirmed on fresh seeds, or without opponents.
        question: The freedom that the study asks about.
        winner_trial: The schedule at the top of the ranking, whatever its rung.
        champion_trial: The best schedule, by its search, that needs the freedom.
        opponent_trial: The champion below that it gains least over.
        num_seeds: Fresh seeds of the weakest comparison.
        planned_seeds: Fresh seeds that the study wants; null if it wants none.
        is_interim: Whether fewer seeds are done than planned.
        num_documents: Documents that the interval covers; null where nothing is said about other text.
        larger_part: What the uncertainty mostly comes from, `seeds` or `documents`; null without documents.
        looks: Planned looks reached.
        difference: The smallest gain over any champion below, with the smallest lower end.
        baseline_difference: Top of the ranking against the best baseline.
        objections: What forbids a yes besides the numbers, in sentences.
        forbids_yes: Whether the objections are all that forbids it: the numbers alone would be a yes.
        outlook: What would decide an undecided answer; null where that is not the question.
        next: The sensible next step, with its command.
        worthwhile_percent: Smallest gain in perplexity worth having; a "no" excludes it.
        equivalent_tokens: How much text the strongest opponent would need to be as good, with what must be said
            about that; null if it was not measured.
        seconds_ratio: Seconds per token of the champion over those of the opponent; null where not known.
        equal_seconds: How many times the seconds of the champion the opponent would need to be as good; given where
            their speeds differ by more than 5 % and equivalent tokens were measured.
        ranked_by: What schedules are ranked by: a metric of the task; absent for the loss.
        score: By that metric, the comparison with the smallest gain over any champion below; absent for the loss.
    """

    sentence: str
    headline: str = ""
    details: str = ""
    ladder_sentence: str = ""
    answer: Answer | None = None
    question: Rung | None = None
    winner_trial: int | None = None
    champion_trial: int | None = None
    opponent_trial: int | None = None
    num_seeds: int | None = None
    planned_seeds: int | None = None
    is_interim: bool = False
    num_documents: int | None = None
    larger_part: Literal["seeds", "documents"] | None = None
    looks: tuple[int, ...] = ()
    difference: Difference | None = None
    baseline_difference: Difference | None = None
    objections: tuple[str, ...] = ()
    forbids_yes: bool = False
    outlook: OutlookKind | None = None
    next: str = ""
    worthwhile_percent: float = WORTHWHILE_PERCENT
    equivalent_tokens: TokenRatio | None = None
    seconds_ratio: float | None = None
    equal_seconds: Estimate | None = None
    ranked_by: str = LOSS
    score: ScoreTest | None = None

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        found: dict[str, object] = write(self)
        if self.ranked_by == LOSS:
            del found["ranked_by"], found["score"]
        return found

    def __str__(self) -> str:
        """The verdict as its sentence."""
        return self.sentence

    def _repr_html_(self) -> str:
        """Show it in words in a notebook."""
        following = f"Next: {self.next}" if self.next else ""
        return fragment(self.headline, paragraphs(self.ladder_sentence, self.details, *self.objections, following))


class SearchRepeats(Description):
    """What independent searches say together: does searching for this freedom pay?

    The unit is the search, not the seed: each search gives one gain, the mean over its own fresh seeds, of the best
    that it found with the freedom over the best that it found without.

    Attributes:
        searches: Searches that were confirmed.
        planned: Searches that the study wants.
        begun: Searches that have begun.
        counts: What all of them have tried, together.
        gains_nats: The gain of each, in the order of the searches.
        gain: Their mean, with Student's interval over searches; null below two of them.
        sd_nats: Standard deviation over searches.
        answer: yes, no or undecided about searching; null below two searches.
        sentence: What was found, for people.
    """

    searches: int
    planned: int
    begun: int = 1
    counts: StudyCounts = StudyCounts()
    gains_nats: tuple[float, ...] = ()
    gain: Difference | None = None
    sd_nats: float | None = None
    answer: Answer | None = None
    sentence: str


class RankedRun(Description):
    """One training of a schedule.

    Attributes:
        seed: Its seed.
        val_loss: Its final validation loss.
        scores: Metrics of the task by name, on the validation examples; absent where there are none.
    """

    seed: int
    val_loss: float
    scores: Scores = {}

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_empty(write(self), "scores")


class RankedTrial(Description):
    """A row of the ranking: one schedule with all its runs.

    Attributes:
        rank: 1 for the best; null for schedules that did not complete.
        trial: Number of its search trial.
        arm: Which search proposed it.
        rung: The freedom that it needs.
        label: For baselines, the name in the study; else empty.
        state: How its search trial ended; `probe` if it only is one, however that ended.
        reason: Why that ended early; null if complete.
        message: First line of what was said about that.
        confirmed: Whether `val_loss` comes from fresh seeds.
        tied: Whether noise could explain its distance to the best of its kind (confirmed or not); null: unknown.
        val_loss: Mean over the confirm seeds, on the judged documents where there are some; else the search loss.
        judged: Whether `val_loss` is that of documents on which nothing was chosen.
        val_perplexity: exp(val_loss).
        val_loss_sd: Standard deviation over the confirm seeds; null below two.
        search_val_loss: Loss of its search trial, next to which a confirmed loss shows the winner's curse.
        runs: Its complete runs, the search trial's first.
        test_loss: Mean loss on the test split over the confirm seeds; never used to rank.
        test_perplexity: exp(test_loss).
        bits_per_byte: Mean over the runs of `val_loss`.
        accuracy: Mean next-token accuracy over the runs of `val_loss`.
        stages: The complete recipe.
        requested_tokens: Up to where its runs ended, without sharing.
        executed_tokens: Trained for it and kept.
        wasted_tokens: Crash repeats and discarded work.
        train_seconds: Of its own training.
        path_seconds: Of one training of the whole schedule, as if nothing had been shared; null: not known.
        on_front: Whether no other schedule is at least as good in every objective of the search and better in one;
            null with a single objective.
        peak_memory_bytes: Largest memory of its runs.
        note: What somebody wrote down about it.
        tags: Words that somebody gave it.
        scores: Metrics of the task by name, each the mean over the runs of `val_loss`, on the judged examples where
            `val_loss` is; absent where there are none.
    """

    rank: int | None = Field(default=None, ge=1)
    trial: int
    arm: Arm
    rung: Rung = "untuned"
    label: str = ""
    state: State | Literal["probe"]
    reason: EndReason | None = None
    message: str = ""
    confirmed: bool = False
    tied: bool | None = None
    val_loss: float | None = None
    judged: bool = False
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
    note: str = ""
    tags: tuple[str, ...] = ()
    scores: Scores = {}

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_empty(write(self), "scores")


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
        ladder: The rungs, lowest first, up to the one that the study asks about.
        baseline_trial: The best baseline.
        trials: Ranked schedules first, then those that did not complete, by number.
        comparisons: The declared comparisons, those of the ladder, then the others.
        totals: What it cost.
        counts: What it tried, by how that ended, and the tokens of search and confirmation.
        noise_floor: The baseline's spread over the confirm seeds; null below two of them.
        attribution: What each part of the question's champion is worth; null if that was not measured.
        repeats: What independent searches say together; null without repeats.
        declared: What the study's question is about: whether the `recipes` that its search found differ (verdict),
            or whether `searching` for the freedom pays, over independent searches (repeats).
        notes: What was wanted and is not there, in sentences.
        score_comparisons: Metrics of the task: the question's champion against the champions below, and the best
            schedule against the best baseline; absent where there are none.
    """

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    schema_version: Literal["mbo-search/ranking/2"] = Field(default="mbo-search/ranking/2", alias="schema")
    study: str
    scale: str
    verdict: Verdict
    ladder: tuple[LadderRung, ...] = ()
    baseline_trial: int | None = None
    trials: tuple[RankedTrial, ...] = ()
    comparisons: tuple[PairComparison, ...] = ()
    totals: Totals = Totals()
    counts: StudyCounts = StudyCounts()
    noise_floor: NoiseFloor | None = None
    attribution: Attribution | None = None
    repeats: SearchRepeats | None = None
    declared: Literal["recipes", "searching"] = "recipes"
    notes: tuple[str, ...] = ()
    score_comparisons: tuple[ScoreComparison, ...] = ()

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_empty(write(self), "score_comparisons")
