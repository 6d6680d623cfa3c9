"""Importance: which choices decided whether a schedule came out among the best, per stage.

Computed by Optuna's PED-ANOVA from the staged arm's own database, so that settings which exist only for some
optimizers count as well.

References:
    Watanabe, Bansal & Hutter 2023, "PED-ANOVA", arXiv:2304.10255.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from mbo_search.report.figures.base import bare_figure, hover_lines, rounded, safe
from mbo_search.report.parameters import parameter_name, stage_of

if TYPE_CHECKING:
    from optuna import Study

__all__ = ["FEWEST_TRIALS", "ImportanceInfo", "draw_importance", "importance_info"]

_LOGGER = logging.getLogger(__name__)

FEWEST_TRIALS = 12
"""Below so many complete trials the figures would be noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportanceInfo:
    """How much each searched setting mattered.

    Attributes:
        shares: (stage, parameter, share of the whole in [0, 1]), stage by stage, largest first within each.
        num_trials: Complete trials behind it.
    """

    shares: tuple[tuple[int, str, float], ...]
    num_trials: int

    def of_stage(self, stage: int) -> float:
        """Share of all choices of a stage together."""
        return sum(share for own, _, share in self.shares if own == stage)


def importance_info(database: Path) -> ImportanceInfo | None:
    """Compute importances from a study's database.

    Args:
        database: SQLite file of the staged arm's study.

    Returns:
        The importances; None if there is no readable database, too few complete trials, or nothing was searched.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    if not database.is_file():
        return None
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{database}")
    except (SQLAlchemyError, RuntimeError) as error:
        _LOGGER.warning("%s: cannot be read, so the report shows no importances: %s", database, error)
        return None
    try:
        names = optuna.get_all_study_names(storage)
        return _of_study(optuna.load_study(study_name=names[0], storage=storage)) if names else None
    finally:
        storage.engine.dispose()


def _of_study(study: Study) -> ImportanceInfo | None:
    import optuna

    trials = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    names = sorted({name for trial in trials for name in trial.params})
    varied = [name for name in names if len({trial.params.get(name) for trial in trials}) > 1]
    if len(trials) < FEWEST_TRIALS or not varied:
        return None
    # The best quarter of few trials is still a handful; the usual tenth would be one or two.
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=max(0.1, min(0.25, 8 / len(trials))))
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator, params=varied)
    total = sum(shares.values())
    if not total:
        return None
    rows = [(stage_of(name), name, share / total) for name, share in shares.items()]
    return ImportanceInfo(shares=tuple(sorted(rows, key=lambda row: (row[0], -row[2]))), num_trials=len(trials))


def draw_importance(
    info: ImportanceInfo, *, stage_names: Sequence[str], names: Mapping[str, str], most_rows: int = 8
) -> go.Figure:
    """Draw horizontal bars, grouped by stage, each group with its sum.

    Args:
        info: What to draw.
        stage_names: Name of each stage.
        names: Words by key: `importance`, `stage`.
        most_rows: Settings shown of each stage; the smallest are left out.
    """
    rows: list[tuple[str, float, bool]] = []
    for stage in sorted({own for own, _, _ in info.shares}):
        title = f"{names['stage']} {stage + 1}: {stage_names[stage] if 0 <= stage < len(stage_names) else ''}"
        rows.append((title, info.of_stage(stage), True))
        own = [(parameter_name(name), share, False) for at, name, share in info.shares if at == stage]
        rows += own[:most_rows]
    figure = bare_figure(height=26 * len(rows) + 70, x_title=names["importance"])
    figure.update_layout(margin={"l": 12, "r": 50, "t": 34, "b": 46}, showlegend=False, bargap=0.35)
    figure.update_xaxes(tickformat=".0%", showgrid=True, rangemode="tozero", fixedrange=True)
    figure.update_yaxes(
        range=[len(rows) - 0.4, -0.6],
        tickvals=list(range(len(rows))),
        ticktext=[f"<b>{safe(label)}</b>" if heading else safe(label) for label, _, heading in rows],
        showgrid=False,
        fixedrange=True,
    )
    figure.add_bar(
        orientation="h",
        y=list(range(len(rows))),
        x=rounded((share for _, share, _ in rows), 3),
        marker={"color": ["var(--faint)" if heading else "var(--accent)" for _, _, heading in rows]},
        text=[f"{share:.0%}" for _, share, _ in rows],
        textposition="outside",
        textfont={"color": "var(--ink)"},
        cliponaxis=False,
        hovertext=[hover_lines([safe(label), f"{share:.1%}"]) for label, share, _ in rows],
        hoverinfo="text",
    )
    return figure
