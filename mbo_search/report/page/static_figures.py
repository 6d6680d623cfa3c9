"""The figures of a page as files, for papers and slides: drawn on light paper, as the page shows them at first.

Plotly draws them in a Chrome or Chromium that is installed; the package kaleido speaks with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mbo_search.errors import Problem, UserError
from mbo_search.report.figures.figure import FigureBlock
from mbo_search.report.figures.first_view import WIDTH, first_view
from mbo_search.report.figures.registry import figure_blocks
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Language, load_strings

FORMATS = ("svg", "png")
"""What each figure is written as."""

_PNG_SCALE = 2


def write_figures(source: ReportSource, folder: Path, *, language: Language = "en") -> tuple[Path, ...]:
    """Write every figure of a report as SVG and PNG.

    Raises:
        UserError: If kaleido or a browser is missing, or one of the figures could not be drawn.
    """
    return write_blocks(figure_blocks(source, load_strings(language, source.setup.predicted)).values(), folder)


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
    spec = first_view(json.loads(block.figure.to_json()), block.controls)
    size = {"width": WIDTH, "height": spec["layout"]["height"]}
    for kind in FORMATS:
        scale = _PNG_SCALE if kind == "png" else 1
        path = str(folder / f"{block.key}.{kind}")
        yield {"fig": spec, "path": path, "opts": {"format": kind, "scale": scale, **size}}


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
