"""The figures of the report in the order of the page: those of mbo-search, then those of other packages."""

from __future__ import annotations

import json
import logging

import plotly.graph_objects as go

from mbo_search.errors import Problem, UserError
from mbo_search.extensions import BUILT_IN, FIGURE_GROUP, Registry
from mbo_search.report.figures.attribution import ATTRIBUTION
from mbo_search.report.figures.curves import CURVES
from mbo_search.report.figures.figure import AnyFigure, Figure, FigureBlock
from mbo_search.report.figures.first_view import first_view
from mbo_search.report.figures.history import HISTORY
from mbo_search.report.figures.importance import IMPORTANCE
from mbo_search.report.figures.ladder import LADDER
from mbo_search.report.figures.lr_used import LR
from mbo_search.report.figures.parallel import PARALLEL
from mbo_search.report.figures.pareto import PARETO
from mbo_search.report.figures.picture import PICTURE
from mbo_search.report.figures.repeats import REPEATS
from mbo_search.report.figures.slices import SLICES
from mbo_search.report.figures.timelines import TIMELINES
from mbo_search.report.figures.tree import TREE
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Language, Strings, load_strings

_LOGGER = logging.getLogger(__name__)

_IN_ORDER: tuple[AnyFigure, ...] = (
    LADDER,
    REPEATS,
    PICTURE,
    TIMELINES,
    CURVES,
    LR,
    ATTRIBUTION,
    HISTORY,
    PARALLEL,
    IMPORTANCE,
    SLICES,
    PARETO,
    TREE,
)

FIGURES: Registry[AnyFigure] = Registry(FIGURE_GROUP, Figure, {one.name: one for one in _IN_ORDER})
"""Every figure by its name."""


def figure_blocks(source: ReportSource, text: Strings) -> dict[str, FigureBlock]:
    """Draw all figures of a report; one of another package that fails is logged and left out."""
    blocks = {name: _block(name, source, text) for name in FIGURES}
    return {name: block for name, block in blocks.items() if block is not None}


def _block(name: str, source: ReportSource, text: Strings) -> FigureBlock | None:
    if FIGURES.origin(name) == BUILT_IN:
        return FIGURES[name].block(source, text)
    try:
        return FIGURES[name].block(source, text)
    except Exception as error:  # whatever the code of somebody else raises
        origin = FIGURES.origin(name)
        _LOGGER.warning("the figure %s of %s cannot be drawn: %s: %s", name, origin, type(error).__name__, error)
        return None


def figure(source: ReportSource, name: str, *, language: Language = "en") -> go.Figure:
    """Draw one figure of a report by itself, as the page shows it at first on light paper.

    Args:
        source: What was read from a run directory.
        name: Name of the figure, such as `timelines`.
        language: Language of its labels.

    Raises:
        UserError: If there is no figure of that name, or nothing to draw.
    """
    if name not in FIGURES:
        raise UserError(
            [Problem(key="figure", value=name, rule="does not exist", hint=f"known: {', '.join(FIGURES)}")]
        )
    block = FIGURES[name].block(source, load_strings(language, source.setup.predicted))
    if block.figure is None:
        raise UserError([Problem(key="figure", value=name, rule=f"has nothing to draw: {block.missing}")])
    return go.Figure(first_view(json.loads(block.figure.to_json()), block.controls))
