"""The answer of a judgement as a value, with the sentences for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mbo_search.judging.decision import Decision, PairEvidence, Reason, seeds_missing
from mbo_search.judging.pairs import JudgedPair
from mbo_search.judging.question import JudgeQuestion
from mbo_search.study.spec.base import Description
from mbo_search.system.fragments import fragment, paragraphs


class Judgement(Description):
    """Whether a change is real. Gains are in the unit of the metric; positive: the candidate is better.

    Attributes:
        decision: `keep`, `discard` or `undecided`.
        reason: Why it stopped there.
        sentence: All that for people.
        metric: What was compared.
        direction: Which values are better.
        worthwhile_percent: Smallest gain worth having, in percent of the baseline's mean.
        worthwhile: The same in the unit of the metric.
        num_pairs: Pairs that were looked at.
        num_counted: Those that are evidence.
        num_identical: Those whose runs are equal bit for bit.
        num_failed: Those of which a run failed.
        baseline_mean: Mean of the baseline over the pairs that count; None without any.
        mean_gain: Mean gain; None without any.
        low: Lower end of its interval; None where nothing can be said.
        high: Upper end.
        level: Probability that the intervals after all pairs together cover the true gain.
        sd_gain: Standard deviation of the gains; None below two pairs.
        mean_gain_percent: Mean gain in percent of the baseline's mean.
        low_percent: Lower end likewise.
        high_percent: Upper end likewise.
        seeds_missing: Pairs that would probably decide; 0 if it is decided, None if that cannot be said or would be
            more than 9,600.
        pairs: The pairs.
        remarks: What should not be overlooked.
    """

    decision: Decision
    reason: Reason
    sentence: str
    metric: str
    direction: Literal["lower", "higher"]
    worthwhile_percent: float
    worthwhile: float
    num_pairs: int
    num_counted: int
    num_identical: int
    num_failed: int
    baseline_mean: float | None
    mean_gain: float | None
    low: float | None
    high: float | None
    level: float | None
    sd_gain: float | None
    mean_gain_percent: float | None
    low_percent: float | None
    high_percent: float | None
    seeds_missing: int | None
    pairs: tuple[JudgedPair, ...]
    remarks: tuple[str, ...]

    def _repr_html_(self) -> str:
        """Show it in words in a notebook."""
        return fragment(self.decision, paragraphs(self.sentence, *self.remarks))


def make_judgement(pairs: Sequence[JudgedPair], evidence: PairEvidence, question: JudgeQuestion) -> Judgement:
    """Say what some pairs came to."""
    test, missing = evidence.test, seeds_missing(evidence)
    mean = None if test is None else test.mean_nats
    low, high = (None, None) if test is None else (test.low_nats, test.high_nats)
    return Judgement(
        decision=evidence.decision,
        reason=evidence.reason,
        sentence=_sentence(evidence, question, pairs, missing),
        metric=question.metric,
        direction="higher" if question.maximize else "lower",
        worthwhile_percent=question.worthwhile_percent,
        worthwhile=evidence.goal,
        num_pairs=len(pairs),
        num_counted=len(evidence.counted),
        num_identical=sum(pair.state == "identical" for pair in pairs),
        num_failed=sum(pair.state == "failed" for pair in pairs),
        baseline_mean=evidence.baseline_mean,
        mean_gain=mean,
        low=low,
        high=high,
        level=None if low is None or test is None else test.level,
        sd_gain=None if test is None else test.sd_nats,
        mean_gain_percent=_percent(mean, evidence),
        low_percent=_percent(low, evidence),
        high_percent=_percent(high, evidence),
        seeds_missing=missing,
        pairs=tuple(pairs),
        remarks=tuple(_remarks(pairs, evidence)),
    )


def _percent(gain: float | None, evidence: PairEvidence) -> float | None:
    return None if gain is None or not evidence.baseline_mean else 100 * gain / abs(evidence.baseline_mean)


def _sentence(
    evidence: PairEvidence, question: JudgeQuestion, pairs: Sequence[JudgedPair], missing: int | None
) -> str:
    if evidence.reason == "identical":
        num = sum(pair.state == "identical" for pair in pairs)
        same = "came to the same numbers, bit for bit"
        return f"Discard: the change changes nothing, for in all {num} pairs both runs {same}."
    if evidence.reason == "constant":
        return (
            "Undecided: the difference is the same on every seed, which proves nothing about other seeds. Let the "
            "commands take MBO_SEED for the initialization and the order of their data."
        )
    if evidence.test is None:
        return "Undecided: no pair is evidence yet."
    return f"{_head(evidence, question)} {_numbers(evidence, question)}{_outlook(evidence, missing)}"


def _head(evidence: PairEvidence, question: JudgeQuestion) -> str:
    better = "higher" if question.maximize else "lower"
    assert evidence.test is not None, "there is no evidence"
    if evidence.decision == "keep":
        return f"Keep: the candidate's {question.metric} is {better}."
    if evidence.decision == "discard":
        high = evidence.test.high_nats
        if high is not None and high < 0:
            return f"Discard: the candidate's {question.metric} is worse."
        least = f"{question.worthwhile_percent:g} % of {question.metric}"
        if evidence.test.better_at is not None:
            return f"Discard: the candidate's {question.metric} is {better}, but not by {least}."
        return f"Discard: the candidate gains less than {least}, if anything."
    return "Undecided."


def _numbers(evidence: PairEvidence, question: JudgeQuestion) -> str:
    test, count = evidence.test, len(evidence.counted)
    assert test is not None, "there is no evidence"
    gain = _both(test.mean_nats, evidence)
    over = f"over {count} pair{'s' * (count != 1)}"
    if test.low_nats is None or test.high_nats is None:
        return f"Gain {gain} {over}; there is no interval yet."
    low, high = _both(test.low_nats, evidence), _both(test.high_nats, evidence)
    return f"Gain {gain} {over}, interval from {low} to {high} at {100 * test.level:g} %."


def _both(gain: float, evidence: PairEvidence) -> str:
    """A gain in its unit and in percent."""
    percent = _percent(gain, evidence)
    return f"{gain:+.4g}" if percent is None else f"{gain:+.4g} ({percent:+.2g} %)"


def _outlook(evidence: PairEvidence, missing: int | None) -> str:
    if evidence.decision != "undecided":
        return ""
    reason = {
        "futile": " No decision was in reach within the seeds that were left.",
        "budget": " The time was used up.",
    }.get(evidence.reason, "")
    if evidence.test is None or evidence.test.num_seeds < 2:
        return reason
    if missing is None:
        return f"{reason} More than 9,600 pairs would be needed."
    pairs = "1 more pair" if missing == 1 else f"{missing} more pairs"
    return f"{reason} About {pairs} would probably decide."


def _remarks(pairs: Sequence[JudgedPair], evidence: PairEvidence) -> list[str]:
    remarks = []
    identical = sum(pair.state == "identical" for pair in pairs)
    if identical and evidence.reason != "identical":
        remarks.append(
            f"{identical} of {len(pairs)} pairs are identical bit for bit and are no evidence; the gain is that on "
            "the other seeds."
        )
    failed = [pair for pair in pairs if pair.state == "failed"]
    if failed:
        remarks.append(
            f"{len(failed)} of {len(pairs)} pairs are no evidence because a run failed; the gain is that on the "
            f"other seeds. Seed {failed[-1].seed}: {failed[-1].why}."
        )
    return remarks
