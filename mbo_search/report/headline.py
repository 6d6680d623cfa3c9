"""The first screen in values: the verdict in a few plain words, and the figures that back it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mbo_search.report.numbers import change_percent, format_percent, format_perplexity
from mbo_search.report.source import ReportSource
from mbo_search.report.strings import Strings
from mbo_search.results.equivalent_tokens import TokenRatio
from mbo_search.results.ranking_values import Difference, NoiseFloor, RankedTrial, Ranking
from mbo_search.results.statistics import FEWEST_SEEDS, PairedTest
from mbo_search.units import format_count, format_seconds

__all__ = ["Tile", "cost", "headline", "primary_test", "second_sentence", "sentence", "tiles", "warnings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One figure of the first screen.

    Attributes:
        label: What it is.
        value: The figure, formatted.
        note: What belongs to it.
    """

    label: str
    value: str
    note: str


def headline(ranking: Ranking, text: Strings) -> str:
    """The verdict in one plain sentence, as far as there is one.

    Args:
        ranking: The study's ranking.
        text: The words.
    """
    words = text["headline"]
    difference, verdict = ranking.verdict.difference, ranking.verdict
    best = next((row for row in ranking.trials if row.rank is not None), None)
    if best is None:
        return words["none"]
    if difference is None or verdict.best_staged_trial is None:
        return words["alone"].format(perplexity=format_perplexity(best.val_loss))
    seeds = verdict.num_seeds or 0
    return words[_kind(ranking, difference)].format(
        percent=_percent(difference), seeds=seeds, factor=_factor_words(verdict.equivalent_tokens)
    )


def _kind(ranking: Ranking, difference: Difference) -> str:
    verdict = ranking.verdict
    side = "ahead" if difference.nats >= 0 else "behind"
    if verdict.num_seeds is None:
        return "search_equal" if abs(difference.nats) < 5e-5 else f"search_{side}"
    if verdict.num_seeds < FEWEST_SEEDS:
        return f"indicative_{side}"
    if verdict.answer == "yes":
        return _yes(verdict.equivalent_tokens)
    if verdict.answer == "no":
        return "no_worse" if difference.nats < 0 else "no"
    return f"undecided_{side}"


def _yes(tokens: TokenRatio | None) -> str:
    if tokens is None or tokens.undefined or tokens.outside == "below":
        return "yes"
    return "yes_tokens" if tokens.outside is None else "yes_tokens_beyond"


def _factor_words(tokens: TokenRatio | None) -> str:
    if tokens is None:
        return ""
    mean = tokens.value.mean
    return f"{mean:.3g}" if mean is not None else f"{tokens.measured_high:.3g}"


def _percent(difference: Difference) -> str:
    value = abs(difference.perplexity_percent)
    return f"{value:.2g}\u00a0%" if value < 10 else f"{value:.0f}\u00a0%"


def _in_words(difference: Difference, text: Strings) -> dict[str, str]:
    """A difference as a reader says it: which way, and how far."""
    way = "lower" if difference.nats >= 0 else "higher"
    return {
        "direction": text["second"][way],
        "percent": _percent(difference),
        "nats": f"{abs(difference.nats):.4f}",
    }


def _interval(low_nats: float, high_nats: float, difference: Difference) -> dict[str, str]:
    """The ends of an interval, seen in the direction of the difference."""
    ends = (low_nats, high_nats) if difference.nats >= 0 else (-high_nats, -low_nats)
    return {"low": f"{ends[0]:.4f}", "high": f"{ends[1]:.4f}"}


def sentence(source: ReportSource, text: Strings) -> str:
    """The verdict with its statistics; in English the ranking's own sentence, word for word.

    Args:
        source: The study with its results.
        text: The words.
    """
    ranking, verdict, words = source.ranking, source.ranking.verdict, text["sentence"]
    test = primary_test(ranking)
    values = {
        "sentence": verdict.sentence,
        "staged": verdict.best_staged_trial,
        "single": verdict.best_single_trial,
        **(_in_words(verdict.difference, text) if verdict.difference is not None else {}),
        "parameters": format_count(source.num_parameters),
        "tokens": format_count(source.budget.total_tokens),
    }
    if verdict.difference is None:
        return words["alone" if source.ranked else "none"].format(**values)
    if test is None or test.low_nats is None or test.high_nats is None or test.p_value is None:
        return words["search"].format(**values)
    return words["confirmed"].format(
        **values,
        **_interval(test.low_nats, test.high_nats, verdict.difference),
        seeds=test.num_seeds,
        level=format_percent(1 - test.alpha),
        p=f"{test.p_value:.2g}",
    )


def second_sentence(ranking: Ranking, text: Strings) -> str:
    """The second declared comparison, whether changing the optimizer pays; empty before anything has finished.

    Args:
        ranking: The study's ranking.
        text: The words.
    """
    line, words = ranking.verdict.switching, text["second"]
    if line is None or line.difference is None:
        return words["none"] if line is not None else ""
    values = {
        "switching": line.switching_trial,
        "keeping": line.single_optimizer_trial,
        **_in_words(line.difference, text),
    }
    test = line.test
    if test is None or test.low_nats is None or test.high_nats is None or test.p_value is None:
        return words["search"].format(**values)
    return words["confirmed"].format(
        **values,
        **_interval(test.low_nats, test.high_nats, line.difference),
        which=words["primary_p" if line.adjusted_p is None else "adjusted_p"],
        p=f"{test.p_value if line.adjusted_p is None else line.adjusted_p:.2g}",
        seeds=test.num_seeds,
    )


def primary_test(ranking: Ranking) -> PairedTest | None:
    """The one test that was declared in advance, if it could be made."""
    return next((c.test for c in ranking.comparisons if c.role == "primary" and c.test is not None), None)


def tiles(source: ReportSource, text: Strings) -> tuple[Tile, ...]:
    """The figures behind the verdict, most important first; what is not known is left out.

    Args:
        source: The study with its results.
        text: The words.
    """
    words, names, ranking = text["tiles"], text["names"], source.ranking
    rows = {row.trial: row for row in source.ranked}
    found = [
        _best(source, words),
        _against_single(ranking, rows, words, names),
        _against_baseline(ranking, rows, words),
        _test(ranking, words),
        _tokens(ranking.verdict.equivalent_tokens, words),
        _floor(ranking.noise_floor, words),
    ]
    return tuple(tile for tile in found if tile is not None)


def cost(ranking: Ranking, text: Strings) -> tuple[str, ...]:
    """What the study took, in a few short phrases.

    Args:
        ranking: The study's ranking.
        text: The words.
    """
    words, totals = text["cost"], ranking.totals
    finished = sum(row.rank is not None for row in ranking.trials)
    saved = totals.saved_tokens / totals.requested_tokens if totals.requested_tokens else 0.0
    found = [
        words["schedules"].format(finished=finished, count=sum(row.reason != "probe" for row in ranking.trials)),
        words["tokens"].format(tokens=format_count(totals.executed_tokens)),
    ]
    if saved >= 0.005:
        found.append(words["saved"].format(percent=format_percent(saved)))
    if totals.saved_tokens < 0 < totals.requested_tokens:
        found.append(words["overspent"].format(tokens=format_count(-totals.saved_tokens)))
    if totals.stages_found:
        found.append(words["found"].format(found=totals.stages_found, asked=totals.stages_asked))
    if totals.wall_seconds is not None:
        found.append(words["time"].format(time=format_seconds(totals.wall_seconds)))
    if totals.busy_fraction is not None:
        found.append(words["busy"].format(percent=format_percent(totals.busy_fraction)))
    return tuple(found)


def _best(source: ReportSource, words: Mapping[str, str]) -> Tile | None:
    if not source.ranked:
        return None
    best = source.ranked[0]
    return Tile(
        label=words["best"],
        value=format_perplexity(best.val_loss),
        note=words["best_note"].format(trial=best.trial),
    )


def _against_single(
    ranking: Ranking, rows: Mapping[int, RankedTrial], words: Mapping[str, str], names: Mapping[str, str]
) -> Tile | None:
    difference, single = ranking.verdict.difference, ranking.verdict.best_single_trial
    if difference is None or single is None or single not in rows:
        return None
    row = rows[single]
    return Tile(
        label=words["against_single"],
        value=_signed(-difference.perplexity_percent),
        note=words["against_single_note"].format(trial=single, arm=row.label or names[row.arm]),
    )


def _against_baseline(ranking: Ranking, rows: Mapping[int, RankedTrial], words: Mapping[str, str]) -> Tile | None:
    baseline = rows.get(ranking.baseline_trial) if ranking.baseline_trial is not None else None
    best = next(iter(rows.values()), None)
    if baseline is None or best is None or baseline.val_loss is None or best.val_loss is None or best is baseline:
        return None
    return Tile(
        label=words["against_baseline"],
        value=_signed(change_percent(best.val_loss, baseline.val_loss)),
        note=words["against_baseline_note"].format(perplexity=format_perplexity(baseline.val_loss)),
    )


def _signed(percent: float) -> str:
    """A change of perplexity with a real minus sign; lower is better."""
    if not math.isfinite(percent) or abs(percent) > 1e6:
        return "\u2013"
    sign = "\u2212" if percent < 0 else "+" if percent > 0 else ""
    return f"{sign}{abs(percent):.1f}\u00a0%" if abs(percent) < 100 else f"{sign}{abs(percent):.0f}\u00a0%"


def _test(ranking: Ranking, words: Mapping[str, str]) -> Tile | None:
    primary = primary_test(ranking)
    if ranking.verdict.difference is None:
        return None
    if primary is None or primary.p_value is None or primary.low_nats is None or primary.high_nats is None:
        return Tile(label=words["no_p"], value=words["no_p_value"], note=words["no_p_note"])
    note = words["p_value_note"].format(
        seeds=primary.num_seeds, low=f"{primary.low_nats:.4f}", high=f"{primary.high_nats:.4f}"
    )
    value = f"{primary.p_value:.2g}" if primary.p_value >= 0.0001 else "< 0.0001"
    return Tile(label=words["p_value"], value=value, note=note)


def _tokens(tokens: TokenRatio | None, words: Mapping[str, str]) -> Tile | None:
    """How much text the gain is worth, as far as it was measured."""
    if tokens is None:
        return None
    below, above = f"< {_times(tokens.measured_low)}", f"> {_times(tokens.measured_high)}"
    low, mean, high = tokens.value.low, tokens.value.mean, tokens.value.high
    if tokens.undefined:
        value, note = words["tokens_undefined"], words["tokens_undefined_note"]
    elif mean is None:
        value = above if tokens.outside == "above" else below
        measured = {"low": _times(tokens.measured_low), "high": _times(tokens.measured_high)}
        note = words["tokens_outside_note"].format(**measured)
    else:
        value = _times(mean)
        ends = {"low": below if low is None else _times(low), "high": above if high is None else _times(high)}
        note = words["tokens_note"].format(**ends)
    note += f"; {words['tokens_repeats']}" if tokens.repeats_data else ""
    return Tile(label=words["tokens"], value=value, note=note)


def _times(factor: float) -> str:
    return f"{factor:.3g}\u00d7"


def _floor(floor: NoiseFloor | None, words: Mapping[str, str]) -> Tile | None:
    if floor is None:
        return None
    value = words["floor_value"].format(percent=f"{floor.sd_percent:.2g}\u00a0%")
    note = words["floor_note"].format(sd=f"{floor.sd_nats:.4f}", seeds=floor.num_seeds)
    return Tile(label=words["floor"], value=value, note=note)


def warnings(source: ReportSource, text: Strings) -> tuple[str, ...]:
    """What the reader must know before believing the verdict, in plain sentences."""
    words, ranking = text["missing"], source.ranking
    arms = {row.arm for row in source.ranked}
    found = []
    if source.ranked and "staged" not in arms:
        found.append(words["no_staged"])
    if source.ranked and "control" not in arms:
        found.append(words["no_control"])
    if source.ranked and "baseline" not in arms:
        found.append(words["no_baseline"])
    if source.ranked and not any(row.confirmed for row in ranking.trials):
        found.append(words["no_confirm"])
    return (*found, *ranking.notes)
