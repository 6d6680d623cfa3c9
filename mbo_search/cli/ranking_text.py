"""A ranking for people: the ladder, the verdict, the best schedules, the others, and what it all cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mbo_search.api.tables import signed, table
from mbo_search.cli.note import notes_text
from mbo_search.results.records.describe import describe_schedule
from mbo_search.units import format_count, format_seconds

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mbo_search.results.evidence.attribution import Attribution
    from mbo_search.results.evidence.ranking_values import LadderRung, RankedTrial, Ranking, Totals
    from mbo_search.results.statistics.paired import PairedTest

_MOST_ROWS = 15
_HEADER = ["rank", "trial", "rung", "perplexity", "loss", "+-", "seeds", "tokens", "schedule"]
_CONFIRMED_HEADER = [*_HEADER[:7], "searched", "test", *_HEADER[7:]]
_LADDER = ["rung", "champion", "perplexity", "gain_%", "interval", "tokens", "trials", "dims"]
_UNKNOWN = "-"


def ranking_text(ranking: Ranking, *, most_rows: int = _MOST_ROWS) -> list[RenderableType]:
    """Lay out a ranking."""
    ranked = [row for row in ranking.trials if row.rank is not None]
    others = [row for row in ranking.trials if row.rank is None]
    parts: list[RenderableType] = [*_opening(ranking), ""]
    if any(row.champion_trial is not None for row in ranking.ladder):
        parts += [_ladder(ranking.ladder), ""]
    parts += _further(ranking)
    if ranked:
        parts += [_table(ranking, ranked, most_rows), ""]
    if others:
        parts += [f"Not ranked: {_reasons(others)}."]
    if ranking.attribution is not None:
        parts += [_attribution(ranking.attribution), ""]
    parts += notes_text(ranking)
    return [*parts, *ranking.notes, _totals(ranking.totals)]


def _opening(ranking: Ranking) -> list[str]:
    """What came out, how sure that is, what forbids a yes, and what to do next."""
    verdict = ranking.verdict
    found = [verdict.ladder_sentence, verdict.sentence]
    opening = "Note:" if verdict.answer == "no" else "Not a yes, because"
    found += [f"{opening} {reason}." for reason in verdict.objections]
    found += [f"Next: {verdict.next}"] if verdict.next else []
    return [line for line in found if line]


def _ladder(ladder: Sequence[LadderRung]) -> RenderableType:
    """A row for each rung: its champion, what that gains over everything below, and what looking for it took."""
    rows = [
        (
            row.name,
            _UNKNOWN if row.champion_trial is None else str(row.champion_trial),
            _UNKNOWN if row.perplexity is None else f"{row.perplexity:.2f}",
            *_gain(row),
            format_count(row.executed_tokens),
            str(row.trials),
            _UNKNOWN if row.dimensions is None else str(row.dimensions),
        )
        for row in ladder
    ]
    caption = (
        "Gain in perplexity over the best rung below; positive is better. Intervals hold for all rungs together."
    )
    return table(_LADDER, rows, title="Ladder", caption=caption, right=" ".join(_LADDER[1:]))


def _gain(row: LadderRung) -> tuple[str, str]:
    if row.gain is None:
        return _UNKNOWN, _UNKNOWN
    gain = row.gain.perplexity_percent
    is_known = gain.low is not None and gain.high is not None
    interval = f"{signed(gain.low or 0.0, 2)} .. {signed(gain.high or 0.0, 2)}" if is_known else _UNKNOWN
    return signed(gain.mean, 2), interval


def _further(ranking: Ranking) -> list[str]:
    """What independent searches say together, and how much the seed alone moves a loss."""
    repeats, floor = ranking.repeats, ranking.noise_floor
    found = [repeats.sentence] if repeats is not None else []
    if floor is not None:
        spread = f"{floor.sd_nats:.4f} nats ({floor.sd_percent:.2g} % of perplexity)"
        found.append(f"Noise floor: a difference of two schedules varies by {spread} from seed to seed.")
    return [*found, ""] if found else []


def _attribution(attribution: Attribution) -> RenderableType:
    if not attribution.rows:
        return f"Trial {attribution.trial} and trial {attribution.baseline_trial} have all their parts in common."
    rows = [
        (
            f"{row.stage + 1} {row.stage_name}",
            row.part.replace("_", "-"),
            _UNKNOWN if row.test is None else f"{row.test.mean_nats:.4f}",
            _UNKNOWN if row.test is None or row.test.low_nats is None else _interval(row.test),
            _UNKNOWN if row.adjusted_p is None else f"{row.adjusted_p:.2g}",
            row.change,
        )
        for row in attribution.rows
    ]
    notes = [note for row in attribution.rows for note in (*row.notes, *([row.sentence] * (row.num_failed > 0)))]
    notes += [f"The same in both: {', '.join(attribution.unchanged)}"] if attribution.unchanged else []
    sentences = dict.fromkeys([*notes, *attribution.impossible])
    return table(
        ["stage", "part", "nats", "interval", "adjusted p", "put back"],
        rows,
        title=f"Worth of trial {attribution.trial}'s parts over those of trial {attribution.baseline_trial}",
        caption=" ".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences),
        right="nats",
    )


def _interval(test: PairedTest) -> str:
    return f"{test.low_nats:.4f} .. {test.high_nats:.4f}"


def _table(ranking: Ranking, ranked: Sequence[RankedTrial], most_rows: int) -> RenderableType:
    marked = {ranking.baseline_trial, *(row.champion_trial for row in ranking.ladder)}
    shown = [row for position, row in enumerate(ranked) if position < most_rows or row.trial in marked]
    hidden = len(ranked) - len(shown)
    notes = [f"{hidden} more in ranking.csv."] if hidden else []
    notes += ["= marks schedules whose order may be noise."] if any(row.tied for row in shown) else []
    notes += (
        ["* marks schedules that no other beats in all objectives."] if any(row.on_front for row in shown) else []
    )
    if not any(row.confirmed for row in shown):
        notes.append("Losses of one seed each; none is confirmed on fresh seeds.")
    is_confirmed = any(row.confirmed for row in shown)
    return table(
        _CONFIRMED_HEADER if is_confirmed else _HEADER,
        (_cells(row, is_confirmed=is_confirmed) for row in shown),
        title=f"{ranking.study}, {ranking.scale}",
        caption=" ".join(notes),
        right="rank trial perplexity loss +- seeds searched test tokens",
    )


def _cells(row: RankedTrial, *, is_confirmed: bool) -> list[str]:
    """A row; beside confirmed losses what the search had seen, and the perplexity of the test split."""
    confirm_runs = len(row.runs) - (row.search_val_loss is not None)
    return [
        f"{row.rank}{'=' if row.tied else ''}{'*' if row.on_front else ''}",
        str(row.trial),
        row.label or row.rung,
        _UNKNOWN if row.val_perplexity is None else f"{row.val_perplexity:.2f}",
        _UNKNOWN if row.val_loss is None else f"{row.val_loss:.4f}",
        _UNKNOWN if row.val_loss_sd is None else f"{row.val_loss_sd:.4f}",
        str(confirm_runs) if row.confirmed else "search",
        *(_curse(row) if is_confirmed else ()),
        format_count(row.executed_tokens),
        describe_schedule(row.stages),
    ]


def _curse(row: RankedTrial) -> tuple[str, str]:
    return (
        f"{row.search_val_loss:.4f}" if row.confirmed and row.search_val_loss is not None else _UNKNOWN,
        _UNKNOWN if row.test_perplexity is None else f"{row.test_perplexity:.2f}",
    )


def _reasons(rows: Sequence[RankedTrial]) -> str:
    counts = Counter(row.reason or row.state for row in rows)
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.most_common())


def _saved(totals: Totals) -> str:
    if totals.saved_tokens < 0:
        return f"probes and repeats cost {format_count(-totals.saved_tokens)} more than sharing saved"
    return f"{totals.saved_tokens / totals.requested_tokens:.0%} saved by sharing prefixes"


def _totals(totals: Totals) -> str:
    executed, requested = format_count(totals.executed_tokens), format_count(totals.requested_tokens)
    joined = f"{executed} of the {requested} tokens requested"
    if totals.executed_tokens > totals.requested_tokens:
        joined = f"{executed} tokens, {requested} requested"
    parts = [f"trained {joined}"]
    if totals.requested_tokens:
        parts.append(_saved(totals))
    if totals.stages_asked:
        parts.append(f"{totals.stages_found} of {totals.stages_asked} stage ends found in the cache")
    parts += [f"{format_count(totals.wasted_tokens)} wasted"] if totals.wasted_tokens else []
    parts += [format_seconds(totals.wall_seconds)] if totals.wall_seconds is not None else []
    parts += [f"slots {totals.busy_fraction:.0%} busy"] if totals.busy_fraction is not None else []
    return f"Cost: {', '.join(parts)}."
