"""The stage tree on a token axis: each span of training once; width is its length, height its number of schedules.

Schedules that begin alike share a rectangle; where they part, it splits. So the figure shows what sharing saved: a
rectangle used by five schedules was trained once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import plotly.graph_objects as go

from mbo_search.report.figures.base import bare_figure, hover_lines, safe, tone_down
from mbo_search.report.figures.figure import Drawing, Figure
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings
from mbo_search.report.style.numbers import format_percent, format_perplexity
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.segments import BudgetSteps, cut
from mbo_search.units import format_count

_NOTE = 80
"""Characters of a note that a popup shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeBlock:
    """A span of training within which no schedule begins or ends.

    Attributes:
        start_tokens: Charged tokens before it.
        end_tokens: Charged tokens after it.
        first_row: Its topmost schedule, counted from the top of the figure.
        trials: The schedules that contain it, best first.
        strategies: Optimizer and stage name along it, in order.
        best_loss: Lowest final loss of its schedules; None if none finished.
    """

    start_tokens: int
    end_tokens: int
    first_row: int
    trials: tuple[int, ...]
    strategies: tuple[str, ...]
    best_loss: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeInfo:
    """The whole tree.

    Attributes:
        blocks: Every span, from left to right.
        num_trials: Schedules in it.
        num_hidden: Schedules left out, the worst ones.
        shared_tokens: Charged tokens that the schedules in it have in common with an earlier one.
        total_tokens: Charged tokens of one full schedule.
        notes: What was written down about schedules, by number.
    """

    blocks: tuple[TreeBlock, ...]
    num_trials: int
    num_hidden: int
    shared_tokens: int
    total_tokens: int
    notes: Mapping[int, str] = field(default_factory=dict)

    @property
    def executed_tokens(self) -> int:
        """Charged tokens of all blocks, each once."""
        return sum(block.end_tokens - block.start_tokens for block in self.blocks)


@dataclass(slots=True)
class _Branch:
    """A node while the tree grows."""

    strategy: str = ""
    trials: list[int] = field(default_factory=list)
    children: dict[str, _Branch] = field(default_factory=dict)


def tree_info(records: Sequence[TrialRecord], *, budget: BudgetSteps, most_trials: int = 80) -> TreeInfo | None:
    """Grow the tree of all schedules."""
    moved = [record for record in records if record.requested_tokens >= budget.segment_tokens]
    shown = moved[:most_trials]
    if not shown:
        return None
    root = _Branch()
    for record in shown:
        _insert(root, record, budget)
    losses = {record.trial: record.val_loss for record in shown if record.val_loss is not None}
    blocks: list[TreeBlock] = []
    row = 0
    for child in _by_best(root, losses):
        _collect(child, (0, row), losses, budget.segment_tokens, blocks)
        row += len(child.trials)
    shared = sum((len(b.trials) - 1) * (b.end_tokens - b.start_tokens) for b in blocks)
    return TreeInfo(
        blocks=tuple(blocks),
        num_trials=len(shown),
        num_hidden=len(moved) - len(shown),
        shared_tokens=shared,
        total_tokens=budget.total_tokens,
    )


def _insert(root: _Branch, record: TrialRecord, budget: BudgetSteps) -> None:
    reached = min(budget.num_segments, record.requested_tokens // budget.segment_tokens)
    segments = cut(record.schedule, budget)[:reached]
    branch = root
    for key, segment in zip(segment_keys(str(record.seed), segments), segments, strict=True):
        branch = branch.children.setdefault(key, _Branch())
        branch.strategy = segment.stage.optimizer
        branch.trials.append(record.trial)


def _by_best(branch: _Branch, losses: Mapping[int, float]) -> list[_Branch]:
    return sorted(branch.children.values(), key=lambda child: _best(child, losses) or math.inf)


def _best(branch: _Branch, losses: Mapping[int, float]) -> float | None:
    return min((losses[trial] for trial in branch.trials if trial in losses), default=None)


def _collect(
    branch: _Branch,
    place: tuple[int, int],
    losses: Mapping[int, float],
    segment_tokens: int,
    blocks: list[TreeBlock],
) -> None:
    """Turn a branch into blocks; segments that the same schedules pass become one."""
    first, row = place
    strategies = [branch.strategy]
    length = 1
    while len(branch.children) == 1:
        only = next(iter(branch.children.values()))
        if len(only.trials) != len(branch.trials) or only.strategy != branch.strategy:
            break
        branch = only
        length += 1
    blocks.append(
        TreeBlock(
            start_tokens=first * segment_tokens,
            end_tokens=(first + length) * segment_tokens,
            first_row=row,
            trials=tuple(sorted(branch.trials, key=lambda trial: losses.get(trial, math.inf))),
            strategies=tuple(strategies),
            best_loss=_best(branch, losses),
        )
    )
    for child in _by_best(branch, losses):
        _collect(child, (first + length, row), losses, segment_tokens, blocks)
        row += len(child.trials)


def draw_tree(info: TreeInfo, *, names: Mapping[str, str]) -> go.Figure:
    """Draw the tree; the color is the best final loss that can be reached through a block."""
    height = max(320, min(900, 14 * info.num_trials + 90))
    figure = bare_figure(height=height, x_title=names["tokens"])
    tone_down(figure)
    figure.update_layout(
        margin={"l": 12, "r": 12, "t": 38, "b": 46},
        bargap=0,
        showlegend=False,
        uniformtext={"minsize": 9, "mode": "hide"},
    )
    figure.update_xaxes(range=[0, info.total_tokens], tickformat="~s")
    figure.update_yaxes(range=[info.num_trials, 0], fixedrange=False)
    figure.update_layout(meta={"blocks": [_place(block, names) for block in info.blocks]})
    finished = sorted(block.best_loss for block in info.blocks if block.best_loss is not None)
    low = finished[0] if finished else 0.0
    high = max(finished[math.ceil(0.9 * len(finished)) - 1], low + 1e-6) if finished else 1.0
    _draw_blocks(figure, info, (low, high), names)
    return figure


def _place(block: TreeBlock, names: Mapping[str, str]) -> list[int | str]:
    """Start of a block, its topmost schedule, number of schedules and name: for zooming to it."""
    strategies = ", ".join(dict.fromkeys(block.strategies))
    tokens = f"{format_count(block.start_tokens)}\u2013{format_count(block.end_tokens)} {names['tokens']}"
    called = f"{strategies}, {tokens}, {len(block.trials)} {names['schedules']}"
    return [block.start_tokens, block.first_row, len(block.trials), called]


def _draw_blocks(
    figure: go.Figure, info: TreeInfo, loss_range: tuple[float, float], names: Mapping[str, str]
) -> None:
    blocks = info.blocks
    figure.add_bar(
        orientation="h",
        base=[block.start_tokens for block in blocks],
        x=[block.end_tokens - block.start_tokens for block in blocks],
        y=[block.first_row + len(block.trials) / 2 for block in blocks],
        width=[len(block.trials) for block in blocks],
        marker={
            "color": [_color(block.best_loss, loss_range) for block in blocks],
            "line": {"color": "var(--surface)", "width": 1},
        },
        text=[", ".join(dict.fromkeys(block.strategies)) for block in blocks],
        textposition="inside",
        insidetextanchor="middle",
        constraintext="inside",
        textangle=0,
        customdata=[list(block.trials) for block in blocks],
        hovertext=[_hover(block, info.notes, names) for block in blocks],
        hoverinfo="text",
    )


def _color(loss: float | None, loss_range: tuple[float, float]) -> str:
    low, high = loss_range
    return "var(--raised)" if loss is None else f"var(--seq-{min(4, int((loss - low) / (high - low) * 5))})"


def _hover(block: TreeBlock, notes: Mapping[int, str], names: Mapping[str, str]) -> str:
    trials = ", ".join(f"#{trial}" for trial in block.trials[:8]) + (", \u2026" if len(block.trials) > 8 else "")
    best = format_perplexity(block.best_loss) if block.best_loss is not None else names["unfinished"]
    return hover_lines(
        [
            f"<b>{safe(', '.join(dict.fromkeys(block.strategies)))}</b>",
            f"{format_count(block.start_tokens)} \u2013 {format_count(block.end_tokens)} {names['tokens']}",
            f"{len(block.trials)} {names['schedules']}: {trials}",
            f"{names['best_through']}: {best}",
            *(f"#{trial} {safe(notes[trial])}" for trial in block.trials[:8] if trial in notes),
        ]
    )


def _info(source: ReportSource) -> TreeInfo | None:
    ended = [record for record in source.records.values() if record.is_search and record.state != "complete"]
    info = tree_info((*source.finished(), *ended), budget=source.budget)
    return None if info is None else replace(info, notes=_notes(source))


def _notes(source: ReportSource) -> dict[int, str]:
    """Tags and the first line of what was written down, short enough for a popup."""
    noted = [row for row in source.ranking.trials if row.note or row.tags]
    texts = {row.trial: " ".join([*(f"[{tag}]" for tag in row.tags), *row.note.split("\n")[:1]]) for row in noted}
    return {trial: text if len(text) <= _NOTE else f"{text[:_NOTE]}\u2026" for trial, text in texts.items()}


def _draw(info: TreeInfo, text: Strings) -> Drawing:
    words = text["notes"]
    share = info.shared_tokens / (info.shared_tokens + info.executed_tokens)
    saved = words["tree_saved" if info.shared_tokens else "tree_unshared"]
    notes = [saved.format(tokens=format_count(info.shared_tokens), percent=format_percent(share))]
    if info.num_hidden:
        notes.append(words["tree_hidden"].format(count=info.num_hidden))
    return Drawing(figure=draw_tree(info, names=text["names"]), notes=tuple(notes))


TREE = Figure(name="tree", info=_info, draw=_draw, controls={"at": "-1"})
