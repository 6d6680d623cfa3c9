"""Progress of a running search: a live table in a terminal or notebook, plain lines elsewhere."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from mbo_search.api.tables import table
from mbo_search.data.progress import Phase, PrepareProgress
from mbo_search.results.evidence.count_words import ENDING_WORDS, token_words
from mbo_search.results.evidence.counts import TokenCounts
from mbo_search.results.records.records import LOWER_ARMS
from mbo_search.units import format_count, format_seconds, perplexity

if TYPE_CHECKING:
    from mbo_search.engine.control.progress import ArmProgress, Progress, RunningTrial

_BAR_CELLS = 30
_NOTEBOOK_COLUMNS = 110
_NUM_MESSAGES = 4
_LARGEST_NATS = 100.0
_PREPARING_EVERY_SECONDS = 5.0
_PHASES: Mapping[Phase, str] = MappingProxyType(
    {
        "digest": "looking for files",
        "read": "reading files",
        "compare": "comparing documents",
        "tokenizer": "training the tokenizer",
        "encode": "writing tokens",
    }
)
_LINE_EVERY_SECONDS = 15.0
_REDRAWS_PER_SECOND = 4.0


class Watcher:
    """Shows how far a search is: what is prepared first, then snapshots.

    Args:
        show: Shows a snapshot.
        prepare: Shows a line about what is being prepared.
    """

    def __init__(self, show: Callable[[Progress], None], prepare: Callable[[str], None]) -> None:
        self._show = show
        self._prepare = prepare

    def __call__(self, progress: Progress) -> None:
        """Show a snapshot."""
        self._show(progress)

    def step(self, step: str) -> None:
        """Show what has begun."""
        self._prepare(f"{step} ...")

    def data(self, progress: PrepareProgress) -> None:
        """Show how far the text is."""
        self._prepare(preparation_line(progress))


def preparation_line(progress: PrepareProgress) -> str:
    """How far the text is, in a line.

    >>> preparation_line(PrepareProgress("read", 3, 12)), preparation_line(PrepareProgress("digest", 3, 0))
    ('Preparing the text: reading files, 3 of 12', 'Preparing the text: looking for files')
    """
    count = f", {progress.done} of {progress.total}" if progress.total else ""
    return f"Preparing the text: {_PHASES[progress.phase]}{count}"


def watch(console: Console, *, quiet: bool) -> AbstractContextManager[Watcher]:
    """Observe a search for as long as the context lasts."""
    if quiet:
        return _nothing()
    if console.is_jupyter:
        return _notebook_table()
    return _live_table(console) if console.is_terminal else _plain_lines(console)


@contextmanager
def _nothing() -> Iterator[Watcher]:
    yield Watcher(lambda _: None, lambda _: None)


@contextmanager
def _live_table(console: Console) -> Iterator[Watcher]:
    with Live("", console=console, refresh_per_second=_REDRAWS_PER_SECOND, transient=True) as live:
        # A table that was drawn stays; a line about what was prepared does not.
        def show(progress: Progress) -> None:
            live.transient = False
            live.update(draw_progress(progress))

        yield Watcher(show, lambda line: live.update(Text(line)))


@contextmanager
def _notebook_table() -> Iterator[Watcher]:
    """Show a table that is replaced in place; rich's own needs widgets, which not every notebook has."""
    from IPython.display import HTML, display

    handle = display(HTML(""), display_id=True)
    yield Watcher(
        lambda progress: handle.update(HTML(as_html(draw_progress(progress)))),
        _sometimes(lambda line: handle.update(HTML(as_html(Text(line)))), 1 / _REDRAWS_PER_SECOND),
    )


def as_html(drawn: RenderableType) -> str:
    """What a terminal would show, as HTML."""
    console = Console(record=True, file=io.StringIO(), width=_NOTEBOOK_COLUMNS, force_jupyter=False)
    console.print(drawn)
    return console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")


@contextmanager
def _plain_lines(console: Console) -> Iterator[Watcher]:
    def write(line: str) -> None:
        console.print(line, soft_wrap=True)

    yield Watcher(PlainLines(write), _sometimes(write, _PREPARING_EVERY_SECONDS))


def _sometimes(write: Callable[[str], None], every_seconds: float) -> Callable[[str], None]:
    """Write the first line of each kind at once, and more of the same kind only now and then."""
    last_kind, last_seconds = "", -math.inf

    def write_sometimes(line: str) -> None:
        nonlocal last_kind, last_seconds
        kind, now = line.rpartition(", ")[0] or line, time.monotonic()
        if kind != last_kind or now - last_seconds >= every_seconds:
            last_kind, last_seconds = kind, now
            write(line)

    return write_sometimes


class PlainLines:
    """Prints a line whenever a trial has ended, and now and then in between."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._num_done = -1
        self._last_seconds = -math.inf
        self._last_message = ""

    def __call__(self, progress: Progress) -> None:
        """Show a snapshot if it says something new."""
        for message in _unseen(progress.messages, self._last_message):
            self._write(message)
        self._last_message = progress.messages[-1] if progress.messages else self._last_message
        late = progress.elapsed_seconds - self._last_seconds >= _LINE_EVERY_SECONDS
        if progress.done != self._num_done or late:
            self._write(progress_line(progress))
            self._num_done, self._last_seconds = progress.done, progress.elapsed_seconds


def progress_line(progress: Progress) -> str:
    """A snapshot in one line."""
    baseline = best_baseline_loss(progress)
    bests = [
        f"{side} {perplexity(best.best_loss):.2f}{_against(best, baseline)}"
        for side, arms in _sides(progress)
        if (best := _best(arms)) is not None and best.best_loss is not None
    ]
    share = "" if progress.share is None else f"{_percent(progress.share)} done"
    parts = [share, _counts(progress), _tokens(progress), f"perplexity: {', '.join(bests)}" if bests else ""]
    return "; ".join(part for part in (*parts, _clock(progress)) if part)


def draw_progress(progress: Progress) -> RenderableType:
    """A snapshot as the live table."""
    parts: list[RenderableType] = [
        Text(f"{progress.study}  {_bar(progress)}  {_counts(progress)}", style="bold"),
        Text(f"{_tokens(progress)}; {_clock(progress)}"),
    ]
    if progress.arms:
        parts += ["", _draw_arms(progress)]
    if progress.running:
        parts += ["", _draw_running(progress.running)]
    recent = progress.messages[-_NUM_MESSAGES:]
    if recent:
        parts += ["", *(Text(message, overflow="ellipsis", no_wrap=True, style="dim") for message in recent)]
    if progress.is_stopping:
        parts.append(Text("Stopping: trials save their state.", style="bold"))
    return Group(*parts)


def _sides(progress: Progress) -> list[tuple[str, list[ArmProgress]]]:
    """The searches by whose they are: untuned schedules, the opponents', the question's, and what judges them."""
    sides: dict[str, list[ArmProgress]] = {"baseline": [], "opponents": [], "question": []}
    for arm in progress.arms:
        side = "question" if arm.arm == "staged" else "opponents" if arm.arm in LOWER_ARMS else arm.arm
        sides.setdefault(side, []).append(arm)
    return [(side, arms) for side, arms in sides.items() if arms]


def _best(arms: Sequence[ArmProgress]) -> ArmProgress | None:
    known = [arm for arm in arms if arm.best_loss is not None]
    return min(known, key=lambda arm: arm.best_loss or 0.0, default=None)


def best_baseline_loss(progress: Progress) -> float | None:
    """Lowest loss of the untuned baselines, or None before the first."""
    return next((arm.best_loss for arm in progress.arms if arm.arm == "baseline"), None)


def _draw_arms(progress: Progress) -> RenderableType:
    baseline = best_baseline_loss(progress)
    rows = [
        (
            side,
            arm.arm,
            str(arm.complete),
            str(arm.ended_early),
            str(arm.failed),
            "-" if arm.best_loss is None else f"{arm.best_loss:.4f}",
            "-" if arm.best_loss is None else f"{perplexity(arm.best_loss):.2f}",
            _against(arm, baseline).strip(" ()"),
            "" if arm.best_trial is None else f"#{arm.best_trial}",
            format_count(arm.executed_tokens),
        )
        for side, arms in _sides(progress)
        for arm in arms
    ]
    header = [
        "side",
        "search",
        "complete",
        "ended early",
        "failed",
        "best loss",
        "perplexity",
        "against baseline",
        "schedule",
        "tokens",
    ]
    return table(header, rows, right=" ".join(header[2:]))


def _draw_running(running: tuple[RunningTrial, ...]) -> RenderableType:
    rows = [
        (
            f"#{trial.trial}",
            trial.arm,
            " -> ".join(trial.optimizers),
            _percent(trial.tokens / trial.total_tokens),
            "-" if trial.loss is None else f"{trial.loss:.4f}",
        )
        for trial in running
    ]
    return table(["schedule", "search", "running", "trained", "loss"], rows)


def _bar(progress: Progress) -> str:
    if progress.share is None:
        return ""
    filled = min(_BAR_CELLS, round(_BAR_CELLS * progress.share))
    return f"[{'#' * filled}{'.' * (_BAR_CELLS - filled)}] {_percent(progress.share)}"


def _percent(share: float) -> str:
    """A share as a whole number; nothing is called 100 % before it is."""
    return f"{math.floor(100 * share)} %"


def _counts(progress: Progress) -> str:
    """What has ended, in the words of the ranking, and what is at work."""
    counts = progress.counts
    total = "" if progress.planned is None else f" of {progress.planned}"
    endings = ", ".join(f"{count} {ENDING_WORDS[ending]}" for ending, count in counts.unfinished)
    parts = [f"{counts.schedules}{total} schedules done{f' ({endings})' if endings else ''}"]
    parts += [f"{counts.probes} probe{'s' * (counts.probes > 1)}"] if counts.probes else []
    if counts.confirm_runs or progress.confirm_left:
        parts.append(f"{counts.confirm_runs} of {counts.confirm_runs + progress.confirm_left} confirm runs done")
    parts.append(f"{len(progress.running)} running")
    parts += [f"{progress.waiting} waiting"] if progress.waiting else []
    return ", ".join(parts)


def _tokens(progress: Progress) -> str:
    requested = progress.executed_tokens + progress.saved_tokens
    spent = TokenCounts(
        requested=requested,
        trained=progress.executed_tokens,
        saved=progress.saved_tokens,
        wasted=progress.wasted_tokens,
    )
    reused = f", {progress.stages_found} of {progress.stages_asked} stages reused" if progress.stages_found else ""
    return f"{token_words(spent)}{reused}"


def _clock(progress: Progress) -> str:
    left = f", about {_rounded(progress.eta_seconds)} left" if progress.eta_seconds else ""
    return f"{format_seconds(progress.elapsed_seconds)}{left}"


def _rounded(seconds: float) -> str:
    """A duration without digits that nobody can know."""
    if seconds < 10:
        return "a few seconds"
    step = 5 if seconds < 90 else 30 if seconds < 600 else 60
    return format_seconds(float(step * math.ceil(seconds / step))).replace(".0 s", " s").replace(" min 0 s", " min")


def _against(arm: ArmProgress, baseline: float | None) -> str:
    """Perplexity of a search's best against the best baseline's, such as " (-3.1 %)"; other seeds tell nothing."""
    if arm.arm not in ("staged", *LOWER_ARMS) or arm.best_loss is None or baseline is None:
        return ""
    percent = math.expm1(min(arm.best_loss - baseline, _LARGEST_NATS)) * 100
    return f" ({percent:+.1f} %)" if percent < 1000 else " (10 times or more)"


def _unseen(messages: tuple[str, ...], last: str) -> tuple[str, ...]:
    """The messages after the last one that was shown."""
    positions = [index for index, message in enumerate(messages) if message == last]
    return messages[positions[-1] + 1 :] if positions else messages
