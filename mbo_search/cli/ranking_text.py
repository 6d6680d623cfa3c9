"""A ranking for people: the ladder, the best schedules, what was tried and what it cost, and last the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from mbo_search.api.stacked import StackedRow, StackedTable
from mbo_search.api.tables import signed, table
from mbo_search.cli.note import notes_text
from mbo_search.results.evidence.count_words import schedule_words, token_words
from mbo_search.results.evidence.counts import TokenCounts
from mbo_search.results.records.describe import describe_schedule
from mbo_search.results.records.fitness import LOSS
from mbo_search.units import format_count, format_seconds

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mbo_search.results.evidence.attribution import Attribution
    from mbo_search.results.evidence.ranking_values import LadderRung, RankedTrial, Ranking
    from mbo_search.results.evidence.score_comparisons import ScoreComparison
    from mbo_search.results.statistics.paired import PairedTest

_MOST_ROWS = 10
_LEAST_UNCONFIRMED = 3
_CONFIRMED = ("rank", "schedule", "rung", "perplexity", "loss", "+-", "seeds", "searched", "test", "tokens")
_SEARCHED = ("rank", "schedule", "rung", "perplexity", "loss", "tokens")
_SPARE = ("tokens", "test", "searched", "loss", "+-", "seeds", "rung")
_LADDER = ("rung", "champion", "perplexity", "gain_%", "interval", "tokens", "tried", "dims")
_SPARE_LADDER = ("dims", "tried", "tokens", "interval", "perplexity")
_UNKNOWN = "-"
_COLOURS = {"yes": "bold green", "no": "bold red", "undecided": "bold yellow"}


def ranking_text(ranking: Ranking, *, most_rows: int = _MOST_ROWS) -> list[RenderableType]:
    """Lay out a ranking, the verdict last, because that is where a terminal stops."""
    confirmed = [row for row in ranking.trials if row.rank is not None and row.confirmed]
    searched = [row for row in ranking.trials if row.rank is not None and not row.confirmed]
    parts: list[RenderableType] = []
    if any(row.champion_trial is not None for row in ranking.ladder):
        parts += [*_ladder(ranking.ladder, ranking.verdict.ranked_by), ""]
    if confirmed:
        parts += [*_confirmed_table(ranking, confirmed, most_rows), ""]
    if searched:
        room = max(most_rows - len(confirmed), _LEAST_UNCONFIRMED)
        parts += [*_searched_table(ranking, searched, room, is_alone=not confirmed), ""]
    if ranking.attribution is not None:
        parts += [_attribution(ranking.attribution), ""]
    parts += notes_text(ranking)
    notes = [*_further(ranking), *ranking.notes, *_cost(ranking)]
    return [*parts, *notes, "", *verdict_text(ranking)]


def verdict_text(ranking: Ranking) -> list[RenderableType]:
    """What came out in plain words, then the numbers behind it, and what forbids a yes."""
    verdict = ranking.verdict
    style = _COLOURS.get(verdict.answer or "", "bold")
    opening = "Note:" if verdict.answer == "no" else "Not a yes, because"
    said = verdict.objections[1:] if verdict.forbids_yes else verdict.objections
    found: list[RenderableType] = [Group(Text(verdict.headline, style=style))]
    if ranking.repeats is not None:
        found.insert(0, Group(Text(ranking.repeats.sentence, style="bold")))
    found += [line for line in (verdict.ladder_sentence, verdict.details) if line]
    return [*found, *(f"{opening} {reason}." for reason in said)]


def _ladder(ladder: Sequence[LadderRung], by: str) -> list[RenderableType]:
    """A row for each rung: its champion, what that gains over everything below, and what looking for it took."""
    rows = [
        StackedRow(
            cells=(
                row.name,
                _UNKNOWN if row.champion_trial is None else f"#{row.champion_trial}",
                _UNKNOWN if row.perplexity is None else f"{row.perplexity:.2f}",
                *_gain(row),
                format_count(row.executed_tokens),
                str(row.trials),
                _UNKNOWN if row.dimensions is None else str(row.dimensions),
            )
        )
        for row in ladder
    ]
    caption = (
        "Gain in perplexity over the best rung below; positive is better. Intervals hold for all rungs together."
    )
    if by != LOSS:
        caption = f"Champions by {by}. Gains are those of losses, and are left out."
    grid = StackedTable(header=_LADDER, rows=rows, left=("rung",), spare=_SPARE_LADDER)
    return [_title("Ladder"), grid, Group(Text(caption, style="dim"))]


def _title(text: str) -> RenderableType:
    return Group(Text(text, style="bold underline"))


def _gain(row: LadderRung) -> tuple[str, str]:
    if row.gain is None:
        return _UNKNOWN, _UNKNOWN
    gain = row.gain.perplexity_percent
    is_known = gain.low is not None and gain.high is not None
    interval = f"{signed(gain.low or 0.0, 2)} .. {signed(gain.high or 0.0, 2)}" if is_known else _UNKNOWN
    return signed(gain.mean, 2), interval


def _further(ranking: Ranking) -> list[str]:
    """How the schedules differ in the metrics of their task, and how much the seed alone moves a loss."""
    scores = [_score_sentence(one) for one in ranking.score_comparisons]
    floor = ranking.noise_floor
    if floor is None:
        return scores
    spread = f"{floor.sd_percent:.2g} % of perplexity ({floor.sd_nats:.4f} nats)"
    return [*scores, f"Noise floor: from seed to seed, a difference of two schedules varies by {spread}."]


def _score_sentence(one: ScoreComparison) -> str:
    gain = f"#{one.trial} over #{one.other}: {one.metric} {one.mean:+.4g}"
    basis = f"on {one.num_examples} judged examples, over {one.num_seeds} fresh seed{'s' * (one.num_seeds > 1)}"
    if one.low is None or one.high is None or one.level is None:
        return f"{gain} {basis}."
    return f"{gain} ({one.level:.0%} interval {one.low:+.4g} .. {one.high:+.4g}) {basis}."


def _attribution(attribution: Attribution) -> RenderableType:
    if not attribution.rows:
        return f"#{attribution.trial} and #{attribution.baseline_trial} have all their parts in common."
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
        title=f"What each part of #{attribution.trial} is worth over that of #{attribution.baseline_trial}",
        caption=" ".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences),
        right="nats",
    )


def _interval(test: PairedTest) -> str:
    return f"{test.low_nats:.4f} .. {test.high_nats:.4f}"


def _confirmed_table(ranking: Ranking, rows: Sequence[RankedTrial], most_rows: int) -> list[RenderableType]:
    """Schedules with their means over fresh seeds, beside them what the search had seen."""
    shown = _shown(ranking, rows, most_rows)
    grid = StackedTable(
        header=(*_CONFIRMED, *_score_names(shown)),
        rows=[
            StackedRow(
                cells=(
                    *_name(row),
                    _UNKNOWN if row.val_loss_sd is None else f"{row.val_loss_sd:.4f}",
                    str(len(row.runs) - (row.search_val_loss is not None)),
                    _UNKNOWN if row.search_val_loss is None else f"{row.search_val_loss:.4f}",
                    _UNKNOWN if row.test_perplexity is None else f"{row.test_perplexity:.2f}",
                    format_count(row.executed_tokens),
                    *_scores(row, shown),
                ),
                below=describe_schedule(row.stages),
                style="bold" if row.rank == 1 else "",
            )
            for row in shown
        ],
        below="recipe",
        left=("rung",),
        spare=_SPARE,
    )
    notes = [*_marks(shown), *_hidden(rows, shown)]
    title = f"Confirmed on fresh seeds ({ranking.study}, {ranking.scale})"
    return [_title(title), grid, *_caption(notes)]


def _searched_table(
    ranking: Ranking, rows: Sequence[RankedTrial], most_rows: int, *, is_alone: bool
) -> list[RenderableType]:
    """Schedules with what the search saw of them, on one seed each."""
    shown = _shown(ranking, rows, most_rows)
    grid = StackedTable(
        header=(*_SEARCHED, *_score_names(shown)),
        rows=[
            StackedRow(
                cells=(*_name(row), format_count(row.executed_tokens), *_scores(row, shown)),
                below=describe_schedule(row.stages),
            )
            for row in shown
        ],
        below="recipe",
        left=("rung",),
        spare=_SPARE,
    )
    scale = f" ({ranking.study}, {ranking.scale})" if is_alone else ""
    notes = [*_marks(shown), *_hidden(rows, shown), "One seed each: none of these is confirmed on fresh seeds."]
    return [_title(f"Found by the search{scale}"), grid, *_caption(notes)]


def _shown(ranking: Ranking, rows: Sequence[RankedTrial], most_rows: int) -> list[RankedTrial]:
    """The first rows, and whichever champions come later."""
    marked = {ranking.baseline_trial, *(row.champion_trial for row in ranking.ladder)}
    return [row for position, row in enumerate(rows) if position < most_rows or row.trial in marked]


def _name(row: RankedTrial) -> tuple[str, ...]:
    return (
        f"{row.rank}{'=' if row.tied else ''}{'*' if row.on_front else ''}",
        f"#{row.trial}",
        row.label or row.rung,
        _UNKNOWN if row.val_perplexity is None else f"{row.val_perplexity:.2f}",
        _UNKNOWN if row.val_loss is None else f"{row.val_loss:.4f}",
    )


def _score_names(shown: Sequence[RankedTrial]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for row in shown for name in row.scores))


def _scores(row: RankedTrial, shown: Sequence[RankedTrial]) -> tuple[str, ...]:
    return tuple(f"{row.scores[name]:.4g}" if name in row.scores else _UNKNOWN for name in _score_names(shown))


def _marks(shown: Sequence[RankedTrial]) -> list[str]:
    notes = ["= marks schedules whose order may be noise."] if any(row.tied for row in shown) else []
    if any(row.on_front for row in shown):
        notes.append("* marks schedules that no other beats in all objectives.")
    return notes


def _hidden(rows: Sequence[RankedTrial], shown: Sequence[RankedTrial]) -> list[str]:
    return [f"{len(rows) - len(shown)} more with --csv."] if len(rows) > len(shown) else []


def _caption(notes: Sequence[str]) -> list[RenderableType]:
    return [Group(Text(" ".join(notes), style="dim"))] if notes else []


def _cost(ranking: Ranking) -> list[str]:
    """What was tried, and what that cost; the page says the same."""
    counts, totals = ranking.counts, ranking.totals
    spent = TokenCounts(
        requested=totals.requested_tokens,
        trained=totals.executed_tokens,
        saved=totals.saved_tokens,
        wasted=totals.wasted_tokens,
    )
    parts = [token_words(spent)]
    if counts.confirm_runs:
        search, confirmation = (format_count(part.requested) for part in (counts.search, counts.confirmation))
        parts.append(f"{search} requested by the search and {confirmation} by confirm runs")
    parts += [f"{totals.stages_found} of {totals.stages_asked} stages reused"] if totals.stages_found else []
    parts += [format_seconds(totals.wall_seconds)] if totals.wall_seconds is not None else []
    parts += [f"workers busy {totals.busy_fraction:.0%} of the time"] if totals.busy_fraction is not None else []
    return [f"Tried: {schedule_words(counts)}.", f"Cost: {', '.join(parts)}.", *_all_searches(ranking)]


def _all_searches(ranking: Ranking) -> list[str]:
    """The same of all independent searches together; nothing where there is one."""
    repeats = ranking.repeats
    if repeats is None or repeats.begun == 1:
        return []
    counts = repeats.counts
    tokens = token_words(counts.search + counts.confirmation)
    return [f"All {repeats.begun} searches together: {schedule_words(counts)}; {tokens}."]
