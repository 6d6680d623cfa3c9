"""A figure of the final losses."""

from __future__ import annotations

import plotly.graph_objects as go

from mbo_search.report.figures.figure import Drawing, Figure, FigureWords
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings


def _info(source: ReportSource) -> list[float] | None:
    losses = [row.val_loss for row in source.ranking.trials if row.val_loss is not None]
    return losses or None


def _draw(losses: list[float], text: Strings) -> Drawing:
    return Drawing(figure=go.Figure(go.Histogram(x=losses)))


FINAL_LOSSES = Figure(
    name="final_losses",
    info=_info,
    draw=_draw,
    words={
        "en": FigureWords(
            title="Final losses of all schedules",
            lead="How many schedules ended at which validation loss.",
            missing="No schedule is complete yet.",
        )
    },
)
