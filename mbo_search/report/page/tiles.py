"""The figures of the first screen that back the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings
from mbo_search.report.style.numbers import (
    format_duration,
    format_percent,
    format_perplexity,
    gain_interval,
    signed_percent,
)
from mbo_search.results.evidence.counts import StudyCounts
from mbo_search.results.evidence.ranking_values import NoiseFloor, Ranking, Totals, Verdict
from mbo_search.results.evidence.score_comparisons import ScoreTest
from mbo_search.results.records.fitness import LOSS
from mbo_search.results.statistics.equivalent_tokens import TokenRatio
from mbo_search.units import format_count


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


def tiles(source: ReportSource, text: Strings) -> tuple[Tile, ...]:
    """The numbers that support the verdict, most important first; unknown ones are left out."""
    ranking, words = source.ranking, text["tiles"]
    found = [
        _best(source, text),
        _gain(ranking, text),
        _evidence(ranking.verdict, words),
        _tokens(ranking.verdict.equivalent_tokens, words),
        _seconds(ranking.verdict, words),
        _floor(ranking.noise_floor, words),
    ]
    return tuple(tile for tile in found if tile is not None)


def cost(ranking: Ranking, text: Strings) -> tuple[str, ...]:
    """What the study tried and cost, in a few short phrases: the counts that the terminal gives, and no others."""
    words, counts, totals = text["cost"], ranking.counts, ranking.totals
    found = [_number("schedules", counts.schedules, words)]
    if counts.schedules and counts.complete == counts.schedules:
        found.append(words["all_complete"])
    else:
        ended = [("complete", counts.complete), *counts.unfinished]
        ending = text["plain"]["ending_count"]
        found += [ending.format(count=count, ending=text["endings"][name]) for name, count in ended if count]
    if counts.different != counts.schedules:
        found.append(words["different"].format(count=counts.different))
    if counts.probes:
        found.append(_number("probes", counts.probes, words))
    if counts.confirm_runs:
        found.append(_confirmed(counts, words))
    return (*found, *_token_cost(ranking, words), *_time_cost(totals, text), *_all_searches(ranking, words))


def _number(key: str, count: int, words: Mapping[str, str]) -> str:
    return words[f"{key}_one" if count == 1 else key].format(count=count)


def _confirmed(counts: StudyCounts, words: Mapping[str, str]) -> str:
    broken = counts.confirm_runs - counts.confirm_complete
    if not broken:
        return _number("confirm_runs", counts.confirm_runs, words)
    return words["confirm_broken"].format(count=counts.confirm_runs, broken=broken)


def _token_cost(ranking: Ranking, words: Mapping[str, str]) -> list[str]:
    counts, totals = ranking.counts, ranking.totals
    found = [words["requested"].format(tokens=format_count(totals.requested_tokens))]
    if counts.confirm_runs:
        search, confirmation = (format_count(part.requested) for part in (counts.search, counts.confirmation))
        found.append(words["requested_by"].format(search=search, confirmation=confirmation))
    found.append(words["tokens"].format(tokens=format_count(totals.executed_tokens)))
    if totals.saved_tokens > 0:
        percent = format_percent(totals.saved_tokens / totals.requested_tokens)
        found.append(words["saved"].format(tokens=format_count(totals.saved_tokens), percent=percent))
    if totals.saved_tokens < 0:
        found.append(words["overspent"].format(tokens=format_count(-totals.saved_tokens)))
    if totals.wasted_tokens:
        found.append(words["wasted"].format(tokens=format_count(totals.wasted_tokens)))
    return found


def _all_searches(ranking: Ranking, words: Mapping[str, str]) -> list[str]:
    repeats = ranking.repeats
    if repeats is None or repeats.begun == 1:
        return []
    counts = repeats.counts
    tokens = format_count((counts.search + counts.confirmation).trained)
    return [words["repeats"].format(searches=repeats.begun, schedules=counts.schedules, tokens=tokens)]


def _time_cost(totals: Totals, text: Strings) -> list[str]:
    words, found = text["cost"], []
    if totals.stages_found:
        found.append(words["found"].format(found=totals.stages_found, asked=totals.stages_asked))
    if totals.wall_seconds is not None:
        found.append(words["time"].format(time=format_duration(totals.wall_seconds, text["durations"])))
    if totals.busy_fraction is not None:
        found.append(words["busy"].format(percent=format_percent(totals.busy_fraction)))
    return found


def _best(source: ReportSource, text: Strings) -> Tile | None:
    if not source.ranked:
        return None
    best, by = source.ranked[0], source.ranking.verdict.ranked_by
    if by != LOSS:
        note = text["tiles"]["best_note"].format(trial=best.trial, rung=text["kinds"][best.rung])
        return Tile(label=text["metric"]["best_label"].format(metric=by), value=f"{best.scores[by]:.4g}", note=note)
    return Tile(
        label=text["tiles"]["best"],
        value=format_perplexity(best.val_loss),
        note=text["tiles"]["best_note"].format(trial=best.trial, rung=text["kinds"][best.rung]),
    )


def _gain(ranking: Ranking, text: Strings) -> Tile | None:
    """Over the opponent that it gains least over: the number that the answer goes by."""
    verdict, words = ranking.verdict, text["tiles"]
    if verdict.score is not None:
        return _gain_of_score(verdict.score, text)
    if verdict.difference is None:
        return None
    percent = verdict.difference.perplexity_percent
    rung = next((row.rung for row in ranking.trials if row.trial == verdict.opponent_trial), "untuned")
    note = words["gain_note"].format(trial=verdict.opponent_trial, rung=text["kinds"][rung])
    if percent.low is not None and percent.high is not None:
        _, _, interval = gain_interval(percent).partition(" ")
        note = words["gain_interval"].format(interval=interval, note=note)
    return Tile(label=words["gain"], value=signed_percent(percent.mean), note=note)


def _gain_of_score(score: ScoreTest, text: Strings) -> Tile:
    words = text["tiles"]
    note = words["gain_note"].format(trial=score.other, rung=text["kinds"][score.rung])
    if score.low is not None and score.high is not None:
        interval = f"{score.low:+.4g} .. {score.high:+.4g}"
        note = words["gain_interval"].format(interval=interval, note=note)
    return Tile(label=words["gain"], value=f"{score.mean:+.4g} {score.metric}", note=note)


def _evidence(verdict: Verdict, words: Mapping[str, str]) -> Tile | None:
    """Certainty of the gain: seeds, documents, and which of them is the larger part of the uncertainty."""
    if verdict.difference is None and verdict.score is None:
        return None
    if verdict.num_seeds is None:
        return Tile(label=words["evidence"], value=words["one_seed"], note=words["one_seed_note"])
    planned = verdict.planned_seeds
    seeds = words["seeds"].format(seeds=verdict.num_seeds)
    if verdict.is_interim and planned is not None:
        seeds = words["seeds_of"].format(seeds=verdict.num_seeds, planned=planned)
    documents = verdict.num_documents
    notes = [words["this_text"] if documents is None else words["documents"].format(count=documents)]
    notes += [words[f"larger_{verdict.larger_part}"]] if verdict.larger_part is not None else []
    return Tile(label=words["evidence"], value=seeds, note="; ".join(notes))


def _tokens(tokens: TokenRatio | None, words: Mapping[str, str]) -> Tile | None:
    """Worth of the gain in text, as far as it was measured."""
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


def _seconds(verdict: Verdict, words: Mapping[str, str]) -> Tile | None:
    """Rest of the gain if both train for the same time, where they are not equally fast."""
    equal, ratio = verdict.equal_seconds, verdict.seconds_ratio
    if equal is None or ratio is None:
        return None
    note = words["seconds_note"].format(ratio=_times(ratio))
    if equal.low is not None and equal.high is not None:
        note = words["seconds_interval"].format(low=_times(equal.low), high=_times(equal.high), note=note)
    return Tile(label=words["seconds_label"], value=_times(equal.mean), note=note)


def _times(factor: float) -> str:
    return f"{factor:.3g}\u00d7"


def _floor(floor: NoiseFloor | None, words: Mapping[str, str]) -> Tile | None:
    if floor is None:
        return None
    value = words["floor_value"].format(percent=f"{floor.sd_percent:.2g}\u00a0%")
    note = words["floor_note"].format(sd=f"{floor.sd_nats:.4f}", seeds=floor.num_seeds)
    return Tile(label=words["floor"], value=value, note=note)
