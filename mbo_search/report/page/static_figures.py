"""The figures of a page as files, for papers and slides: drawn on light paper, as the page shows them at first.

Plotly draws them in a Chrome or Chromium that is installed; the package kaleido speaks with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mbo_search.errors import Problem, UserError
from mbo_search.report.page.sections import FigureBlock, figure_blocks
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Language, load_strings
from mbo_search.report.style.palette import LIGHT, resolve

FORMATS = ("svg", "png")
"""What each figure is written as."""

_WIDTH = 1080
_PNG_SCALE = 2
_CHARACTER_PIXELS = 6.3
_CAPTION_GAP_PIXELS = 12

_SHOWN_AT_FIRST = {"curves": 5, "lr": 1}
"""Schedules of the question that the page shows before a reader asks for more."""


def write_figures(source: ReportSource, folder: Path, *, language: Language = "en") -> tuple[Path, ...]:
    """Write every figure of a report as SVG and PNG.

    Raises:
        UserError: If kaleido or a browser is missing, or one of the figures could not be drawn.
    """
    return write_blocks(figure_blocks(source, load_strings(language)).values(), folder)


def write_blocks(blocks: Iterable[FigureBlock], folder: Path) -> tuple[Path, ...]:
    """Write figures as SVG and PNG; those without anything to draw are left out.

    Raises:
        UserError: If kaleido or a browser is missing, or one of the figures could not be drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    orders = [order for block in blocks for order in _orders(block, folder)]
    if orders:
        _draw(orders)
    return tuple(Path(order["path"]) for order in orders)


def _orders(block: FigureBlock, folder: Path) -> Iterator[dict[str, Any]]:
    if block.figure is None:
        return
    spec = first_view(block.key, json.loads(block.figure.to_json()))
    size = {"width": _WIDTH, "height": spec["layout"]["height"]}
    for kind in FORMATS:
        scale = _PNG_SCALE if kind == "png" else 1
        path = str(folder / f"{block.key}.{kind}")
        yield {"fig": spec, "path": path, "opts": {"format": kind, "scale": scale, **size}}


def first_view(key: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A figure as the page shows it before anyone chose anything."""
    figure: Any = resolve(spec, LIGHT)
    most = _SHOWN_AT_FIRST.get(key)
    traces = [trace for trace in figure["data"] if most is None or _is_shown(_meta(trace), most)]
    drawn = {meta.get("optimizer") for meta in map(_meta, traces) if meta.get("place", -1) >= 0}
    traces = [trace for trace in traces if most is None or _meta(trace).get("names") in {None, *drawn}]
    layout = figure["layout"]
    room = _WIDTH - layout["margin"]["l"] - layout["margin"]["r"]
    notes = [fitted for note in layout.get("annotations", ()) if (fitted := _fitted(note, room)) is not None]
    return {"data": traces, "layout": {**layout, "annotations": notes}}


def _meta(trace: Mapping[str, Any]) -> Mapping[str, Any]:
    return trace.get("meta") or {}


def _is_shown(meta: Mapping[str, Any], most: int) -> bool:
    return bool(meta.get("place", -1) < (1 if meta.get("few") else most))


def _fitted(note: dict[str, Any], room: float) -> dict[str, Any] | None:
    """A caption that fits its stretch, shortened if need be; None if not even the short one does."""
    kind, share, *short = (note.get("name") or "").split("|", 2) + [""] * 2
    if kind != "fit":
        return note
    for text in (note["text"], short[0]):
        if len(text) * _CHARACTER_PIXELS + _CAPTION_GAP_PIXELS <= float(share) * room:
            return {**note, "text": text}
    return None


def _draw(orders: Sequence[dict[str, Any]]) -> None:
    try:
        import kaleido
        from kaleido.errors import BrowserClosedError, BrowserFailedError, ChromeNotFoundError
    except ImportError as error:
        hint = "install it with `pip install 'mbo-search[figures]'`, or download single figures from the page"
        raise UserError([Problem(key="--figures", rule="needs the package kaleido", hint=hint)]) from error
    try:
        failures = kaleido.write_fig_from_object_sync(list(orders))
    except (ChromeNotFoundError, BrowserClosedError, BrowserFailedError) as error:
        hint = "install one (`apt install chromium`, or run `plotly_get_chrome`), or name it in BROWSER_PATH"
        rule = "needs a Chrome or Chromium that starts; none could be started"
        raise UserError([Problem(key="--figures", rule=rule, hint=hint)]) from error
    if failures:
        raise UserError([Problem(key="--figures", rule=f"could not be drawn: {error}") for error in failures])
