"""The picture above the ranking: confirmed schedules on their fresh seeds, else every finished one by rung."""

from __future__ import annotations

from mbo_search.report.figures.arms import ArmsInfo, arms_info, draw_arms
from mbo_search.report.figures.figure import Drawing, Figure
from mbo_search.report.figures.seeds import SeedRow, draw_seeds, seeds_info
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings


def _info(source: ReportSource) -> tuple[SeedRow, ...] | ArmsInfo | None:
    return seeds_info(source.ranked, source.fresh) or arms_info(source.ranked)


def _draw(info: tuple[SeedRow, ...] | ArmsInfo, text: Strings) -> Drawing:
    names, leads = text["names"], text["leads"]
    if isinstance(info, ArmsInfo):
        return Drawing(figure=draw_arms(info, names=names), lead=leads["picture_arms"])
    return Drawing(figure=draw_seeds(info, names=names), lead=leads["picture_seeds"])


PICTURE: Figure[tuple[SeedRow, ...] | ArmsInfo] = Figure(name="picture", info=_info, draw=_draw, has_section=False)
